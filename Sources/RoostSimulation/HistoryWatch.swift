import NIOCore
import RoostModel
import RoostNode
import RoostProtocol

/// What clients saw, all of them together: one order of every conversation, reads that see what was done before them,
/// one account per name.
///
/// Histories are logs that only grow, so a sound check is simple: a read holds everything that anybody knew of when it
/// was called, in the one order of all. Memberships and accounts are registers, and judged as linearizable or not.
package final class HistoryWatch: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    enum Register: Hashable {
        case member(ConversationID, UserID)
        case disabled(UserID)
    }
    struct Call: Sendable {
        fileprivate let register: Register
        fileprivate let number: Int
    }
    private struct Known: Equatable {
        var id: MessageID
        var sender: UserID
        var sentAt: Int64
        var content: UInt64
    }

    private let cluster: SimulationCluster
    private var order: [ConversationID: [UInt64: Known]] = [:]
    private var heads: [ConversationID: UInt64] = [:]
    private var registers: [Register: RegisterHistory] = [:]
    /// In the order in which they were first used.
    private var registerOrder: [Register] = []
    private(set) var createdAccounts: [AccountRecord] = []
    package private(set) var breaches: [Breach] = []
    package private(set) var reads = 0

    /// For how long a message certainly stays, in microseconds; nil: for good.
    var keeps: Int64?

    package init(cluster: SimulationCluster) { self.cluster = cluster }

    func broke(_ promise: Promise, _ text: String) {
        guard breaches.count < 100 else { return }
        breaches.append(Breach(promise, "at \(cluster.executor.stamp): \(text)"))
        cluster.note("BREACH \(promise.rawValue): \(text)")
    }

    // MARK: One order

    func saw(_ message: Message, by device: SimulationDevice) {
        cluster.note(
            "\(device.user) \(device.device) is sent \(message.conversation) \(message.seq) \(message.id)")
        note(message)
    }

    private func note(_ message: Message) {
        let known = Known(
            id: message.id, sender: message.sender, sentAt: message.sentAt,
            content: StableHash.of(message.content.readableBytesView))
        note(known, message.conversation, message.seq)
    }

    private func note(_ known: Known, _ conversation: ConversationID, _ seq: UInt64) {
        if let other = order[conversation]?[seq] {
            if other != known { broke(.oneOrder, "\(conversation): \(seq) is \(known.id), and \(other.id) to others") }
            return
        }
        order[conversation, default: [:]][seq] = known
        heads[conversation] = max(heads[conversation] ?? 0, seq)
        if let before = order[conversation]?[seq &- 1], before.sentAt >= known.sentAt {
            broke(.oneOrder, "\(conversation): \(seq) has a time before that of \(seq - 1)")
        }
        if let after = order[conversation]?[seq + 1], after.sentAt <= known.sentAt {
            broke(.oneOrder, "\(conversation): \(seq) has a time after that of \(seq + 1)")
        }
    }

    func accepted(_ sent: SimulationDevice.Sent, _ answer: AcceptedFrame, by device: SimulationDevice) {
        cluster.note(
            "\(device.user) \(device.device): \(answer.id) is accepted as \(answer.conversation) \(answer.seq)")
        let known = Known(
            id: answer.id, sender: device.user, sentAt: answer.sentAt,
            content: StableHash.of(sent.send.content.readableBytesView))
        note(known, answer.conversation, answer.seq)
    }

    // MARK: Histories

    /// The highest seq that anybody was told of.
    func head(of conversation: ConversationID) -> UInt64 { heads[conversation] ?? 0 }

    /// A page of the newest messages, read by one who may read them all.
    func read(_ response: ReadResponse, of conversation: ConversationID, atLeast head: UInt64) {
        guard case .messages(let messages) = response else {
            if case .rejected(.unavailable) = response { return }
            return broke(.linearizable, "\(conversation): its owner may not read it: \(response)")
        }
        reads += 1
        let newest = messages.first?.seq ?? 0
        if newest < head, !(messages.isEmpty && mayBeRemoved(conversation, head)) {
            broke(.linearizable, "\(conversation): read to \(newest), known to \(head)")
        }
        for (message, next) in zip(messages, messages.dropFirst()) where message.seq != next.seq + 1 {
            broke(.linearizable, "\(conversation): a read goes from \(next.seq) to \(message.seq)")
        }
        for message in messages { note(message) }
    }

    private func mayBeRemoved(_ conversation: ConversationID, _ seq: UInt64) -> Bool {
        guard let keeps, let known = order[conversation]?[seq] else { return false }
        return SimulationClock.begin + Int64(cluster.executor.now / 1_000) > known.sentAt + keeps
    }

    // MARK: Registers

    func begin(group: ConversationID, with guests: [UserID], number: Int) {
        for guest in guests { open(.member(group, guest), initial: 1) }
    }

    private func open(_ register: Register, initial: Int) {
        registers[register] = RegisterHistory(initial: initial)
        registerOrder.append(register)
    }

    func isFull(_ register: Register) -> Bool { registers[register]?.isFull ?? false }

    func calls(_ action: RegisterHistory.Action, on register: Register) -> Call? {
        if registers[register] == nil { open(register, initial: 0) }
        return registers[register]?.call(action, at: cluster.executor.now).map { Call(register: register, number: $0) }
    }

    func answers(_ call: Call, _ value: Int? = nil) {
        reads += value == nil ? 0 : 1
        registers[call.register]?.answer(call.number, at: cluster.executor.now, read: value)
    }

    func answers(_ call: Call, whether guest: UserID, isMemberBy response: ReadResponse) {
        guard case .conversation(let found) = response else { return deny(response, call) }
        answers(call, found.members.contains { $0.user == guest && $0.current } ? 1 : 0)
    }

    /// A send of a guest was refused since he was no member: at some moment between the two that was so.
    func refused(_ sent: SimulationDevice.Sent, of user: UserID, as code: ErrorCode) {
        guard code == .notMember, let conversation = sent.send.conversation else { return }
        let register = Register.member(conversation, user)
        guard let number = registers[register]?.call(.read(0), at: sent.at) else { return }
        reads += 1
        registers[register]?.answer(number, at: cluster.executor.now)
    }

    /// Not read: only "unavailable" is no lie, since what is asked for exists.
    func deny(_ response: ReadResponse, _ call: Call) {
        if case .rejected(.unavailable) = response { return }
        broke(.linearizable, "\(call.register) is denied: \(response)")
    }

    // MARK: Accounts

    func created(_ record: AccountRecord) {
        if createdAccounts.contains(where: { $0.user == record.user }) {
            broke(.oneAccount, "\(record.username) was made twice")
        }
        createdAccounts.append(record)
    }

    // MARK: The end

    /// To be called once, after everything.
    package func judge() {
        for register in registerOrder {
            if registers[register]?.isLinearizable == false {
                broke(.linearizable, "\(register): no order explains what was answered")
            }
        }
        // What was read or told is in the log.
        var logs: [ConversationID: [Node.LoggedMessage]] = [:]
        for id in cluster.nodeIDs { logs.merge(cluster.onNode(id) { $0.ledMessages() } ?? [:]) { $1 } }
        for (conversation, seqs) in order.sorted(by: { $0.key < $1.key }) {
            let log = logs[conversation] ?? []
            for (seq, known) in seqs.sorted(by: { $0.key < $1.key }) {
                let logged = seq > 0 && seq <= log.count ? log[Int(seq) - 1] : nil
                if let logged, logged.message == nil { continue }
                if logged?.message?.id != known.id {
                    broke(.durable, "\(conversation): \(seq) was \(known.id), and is not")
                }
            }
        }
    }
}
