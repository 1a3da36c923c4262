package import RoostModel
package import RoostProtocol

/// The state machine of one partition: accounts, conversations, members, cursors. Every replica applies the log's
/// entries in order and decides each alike, from the state and the entry alone: no clock, no randomness, no order of a
/// hash table. Message bodies are in the log, not here.
///
/// What the caller owes it:
/// 1. Entries come once each, ascending by index, and only when committed; those without a command go to `pass`.
/// 2. `changes` are written together with `appliedIndex`, in order; after that, `stateDurable`.
/// 3. A `KnownMessages` knows at least the rows up to the last `stateDurable` index, and up to the restored index.
package struct PartitionState: Sendable {
    package let partition: PartitionID
    /// Those of this node's file; a command that carries its own is decided by those.
    package private(set) var limits: StateLimits
    package internal(set) var appliedIndex: UInt64
    /// The term of the last entry applied; 0 after restoring until there is one.
    package internal(set) var appliedTerm: UInt64 = 0
    /// The newest HLC stamp in the log up to `appliedIndex`, in microseconds.
    package internal(set) var lastStamp: Int64

    var accountsByUser: [UserID: AccountRecord] = [:]
    /// Sorted by device.
    var devicesByUser: [UserID: [DeviceRecord]] = [:]
    /// Sorted by id.
    var keys: [SigningKey] = []
    /// Of partition 0; nil until it is founded.
    package internal(set) var ring: Ring?
    /// Positions in `conversations`, which never shrinks.
    var positions: [ConversationID: UInt32] = [:]
    var conversations: ContiguousArray<ConversationState> = []
    /// Positions of the conversations in which a user is or was a member, in no meaningful order.
    var positionsByUser: [UserID: [UInt32]] = [:]
    var deviceNames = DeviceNames()
    var sendOrders = SendOrderTable()
    var calls = AnsweredCalls()
    var pending = PendingMessages()

    package init(partition: PartitionID, limits: StateLimits, restoring snapshot: StateSnapshot = .init()) {
        self.partition = partition
        self.limits = limits
        appliedIndex = snapshot.appliedIndex
        lastStamp = snapshot.lastStamp
        restore(snapshot)
    }

    /// Decides the entry at `index`. An entry at or below `appliedIndex` is passed over without a result.
    package mutating func apply(
        index: UInt64, term: UInt64, _ stamped: StampedCommand, known: some KnownMessages,
        into output: inout ApplyOutput
    ) {
        guard index > appliedIndex else { return }
        pass(index: index, term: term)
        lastStamp = max(lastStamp, stamped.stamp)
        expireSendOrders(into: &output)
        output.results.append(
            (index, decide(stamped.command, index: index, stamp: stamped.stamp, known: known, into: &output)))
    }

    private mutating func decide(
        _ command: Command, index: UInt64, stamp: Int64, known: some KnownMessages, into output: inout ApplyOutput
    ) -> CommandResult {
        switch command {
        case .send(let command): return send(command, index: index, stamp: stamp, known: known, into: &output)
        case .createAccount(let record): return createAccount(record, into: &output)
        case .setAccountDisabled(let user, let disabled): return setAccountDisabled(user, disabled, into: &output)
        case .setLastSeenHidden(let user, let hidden): return setLastSeenHidden(user, hidden, into: &output)
        case .registerDevice(let user, let device, let startAt, let token):
            let record = DeviceRecord(user: user, device: device, startAt: startAt, createdAt: stamp)
            return registerDevice(record, token, into: &output)
        case .createConversation(let command): return createConversation(command, stamp: stamp, into: &output)
        case .changeMembers(let command): return changeMembers(command, into: &output)
        case .advanceCursors(let advances): advanceCursors(advances, into: &output)
        case .addSigningKey(let key): return addSigningKey(key, into: &output)
        case .limited(let given, let command):
            let own = limits
            limits = own.with(given)
            defer { limits = own }
            return decide(command, index: index, stamp: stamp, known: known, into: &output)
        case .seeDevices(let devices): seeDevices(devices, at: stamp, into: &output)
        case .forgetDevices(let devices): forgetDevices(devices, into: &output)
        case .dropCursors(let devices): dropCursors(of: devices, into: &output)
        case .raiseFloors(let raises): raiseFloors(raises, at: stamp, into: &output)
        case .raiseIDFloors(let raises): raiseIDFloors(raises, at: stamp, into: &output)
        case .called(let identity, let command):
            if let answer = answer(toCalled: identity, command) { return answer }
            let result = decide(command, index: index, stamp: stamp, known: known, into: &output)
            noteAnswer(result, to: identity, index: index, into: &output)
            return result
        case .foundRing(let ring): return foundRing(ring, into: &output)
        case .changeRing(let change): return changeRing(change, into: &output)
        case .revokeTokens(let user, let revocation):
            return revokeTokens(user, revocation, at: stamp, into: &output)
        case .activateSigningKey(let id): return activateSigningKey(id, at: stamp, into: &output)
        case .removeSigningKey(let id): return removeSigningKey(id, into: &output)
        }
        return .done
    }

    /// Notes an entry that carries no command: a term's first entry, a configuration.
    package mutating func pass(index: UInt64, term: UInt64) {
        guard index > appliedIndex else { return }
        appliedIndex = index
        appliedTerm = term
    }

    /// The leader's look ahead, against what is applied: the answer where nothing needs to be appended, nil where it
    /// does. Only applying decides. A refusal holds as of `appliedIndex`; while entries above it are not yet applied,
    /// one of them may be an earlier try of the same command, so that a caller that must not refuse what may yet
    /// succeed appends then. `now` is what the entry would be stamped with, in microseconds.
    package func rejection(of command: Command, known: some KnownMessages, at now: Int64? = nil) -> CommandResult? {
        switch command {
        case .send(let command): answer(to: command, known: known)
        case .createAccount(let record): answer(toCreating: record)
        case .setAccountDisabled(let user, _), .setLastSeenHidden(let user, _), .revokeTokens(let user, _):
            accountsByUser[user] == nil ? .rejected(.unknownUser) : nil
        case .registerDevice(let user, let device, _, let token):
            answer(toRegistering: device, of: user, token, at: now ?? lastStamp)
        case .createConversation(let command): answer(toCreating: command)
        case .changeMembers(let command): answer(to: command)
        case .addSigningKey(let key): answer(toAdding: key)
        case .limited(_, let command): rejection(of: command, known: known, at: now)
        case .called(let identity, let command):
            answer(toCalled: identity, command) ?? refusal(ofCalled: command, at: now)
        case .changeRing(let change): answer(toChanging: change)
        case .advanceCursors, .seeDevices, .forgetDevices, .dropCursors, .raiseFloors, .raiseIDFloors, .foundRing,
            .activateSigningKey, .removeSigningKey:
            nil
        }
    }

    /// The rows of all entries up to `index` are in the tables: `KnownMessages` is asked for them from now on.
    package mutating func stateDurable(through index: UInt64) {
        pending.forget(through: index)
    }

    /// Whether messages of these conversations, or of any, are not in the tables yet.
    package func hasPendingMessages(in conversations: [ConversationID]?) -> Bool {
        guard let conversations else { return pending.count > 0 }
        return pending.contains { conversations.contains($0) }
    }

    /// Emptied by `stateDurable`; the caller bounds it by not applying too far ahead of writing.
    package var pendingMessageCount: Int { pending.count }

    private mutating func expireSendOrders(into output: inout ApplyOutput) {
        guard appliedIndex > limits.sendOrderLifetime else { return }
        while let row = sendOrders.expire(before: appliedIndex - limits.sendOrderLifetime) {
            output.changes.append(.sendOrderExpired(session: row.session, conversation: row.conversation))
        }
    }

    func position(of conversation: ConversationID) -> Int? { positions[conversation].map(Int.init) }
}
