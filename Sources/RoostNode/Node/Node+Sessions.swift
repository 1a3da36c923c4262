import Logging
import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol

/// Admitting sessions, and ending them.
extension Node {
    /// The user's leader says which session is newer, and a device's first appearance is committed, before anything is
    /// said to the client.
    package func openSession(_ request: SessionRequest) async -> Result<any PendingSession, SessionRefusal> {
        if let refusal = refusalNow { return .failure(refusal) }
        switch admission.admit(now: context.clock.now(), using: &generator) {
        case .admitted(after: 0): break
        case .admitted(let wait):
            await turn(after: wait)
            if let refusal = refusalNow { return .failure(refusal) }
        case .later(let milliseconds):
            context.counters.sessionsPutOff.increment()
            return .failure(.tooMany(afterMilliseconds: milliseconds))
        }
        for _ in 0..<3 {
            switch await read(.openSession(user: request.user, device: request.device, token: request.token)) {
            case .session(let grant):
                guard phase == .serving else { return .failure(.draining) }
                let slot = takeSlot()
                let session = SessionID(generator.next())
                return .success(
                    AdmittedSession(node: self, request: request, grant: grant, slot: slot, session: session))
            case .none:
                let command = Command.registerDevice(
                    user: request.user, device: request.device, startAt: startAt(request.start), token: request.token)
                switch await propose(command) {
                case .rejected(.limitExceeded): return .failure(.tooManyDevices)
                case .rejected(.unknownUser), .rejected(.accountDisabled): return .failure(.disabled)
                case .rejected(.tokenRevoked): return .failure(.revoked)
                case .rejected: return .failure(.unavailable)
                default: continue
                }
            case .rejected(.unknownUser), .rejected(.accountDisabled): return .failure(.disabled)
            case .rejected(.tokenRevoked): return .failure(.revoked)
            default: return .failure(.unavailable)
            }
        }
        return .failure(.unavailable)
    }

    private func turn(after nanoseconds: UInt64) async {
        heldNumber += 1
        let number = heldNumber
        await withCheckedContinuation { continuation in
            held[number] = continuation
            _ = context.clock.schedule(after: nanoseconds) { [weak self] in
                self?.onCore { $0.held.removeValue(forKey: number)?.resume() }
            }
        }
    }

    /// They are told at once that they are not taken in.
    func releaseHeld() {
        let waiting = held.sorted { $0.key < $1.key }
        held.removeAll()
        for (_, continuation) in waiting { continuation.resume() }
    }

    private var refusalNow: SessionRefusal? {
        guard phase == .serving, !isStopped else { return phase == .draining ? .draining : .unavailable }
        return sessions.count < configuration.limits.maxConnections ? nil : .unavailable
    }

    /// `now` looks back ten seconds and what two nodes' clocks may differ by: in doubt, too much is delivered. A time is
    /// one of `sent_at`, and exact; one that is still to come is `now`.
    private func startAt(_ start: SessionRequest.Start) -> Int64 {
        let now = clusterTime
        switch start {
        case .all: return 0
        case .now: return now - 12_000_000
        case .at(let seconds):
            let wanted = Int64((max(0, min(seconds, 9e9)) * 1e6).rounded())
            return wanted <= now ? wanted : now - 12_000_000
        }
    }

    private func takeSlot() -> UInt32 {
        repeat { nextSlot &+= 1 } while sessions[nextSlot] != nil || nextSlot == 0
        return nextSlot
    }

    func attach(_ admitted: AdmittedSession, _ socket: any SessionSocket) -> any SessionEvents {
        let request = admitted.request
        let device = Device(
            slot: admitted.slot, session: admitted.session, generation: admitted.grant.generation,
            startAt: admitted.grant.startAt, request: request, socket: socket, node: self, context: context)
        let user = users[request.user] ?? User(id: request.user, context: context)
        users[request.user] = user
        sessions[admitted.slot] = SessionEntry(
            device: device, unanswered: Set((0..<partitionCount).map { PartitionID(UInt16($0)) }))
        sessionDigests.toggle(device.subscription.digest, now: context.clock.now())
        context.counters.sessionsOpened.increment()
        let newer = presence.newerSession(
            user: request.user, device: request.device, than: admitted.grant.generation)
        guard phase == .serving else {
            device.onCore { $0.close(code: 1012, reason: "this node is draining: connect to another") }
            return device
        }
        guard newer == nil, user.onCore({ $0.admit(device) }) else {
            device.onCore { $0.close(code: 4409, reason: "replaced by a newer session of this device") }
            return device
        }
        presence.announce(
            PresenceEntry(
                user: request.user, device: request.device, session: admitted.session,
                generation: admitted.grant.generation, since: context.clock.wall()), now: context.clock.now())
        schedulePresenceFlush()
        presenceChanged(request.user)
        newSessions.append(admitted.slot)
        device.onCore { $0.start() }
        markDevice(device)
        _ = context.after(milliseconds: 5_000) { [weak self] in
            self?.onCore { node in
                guard let entry = node.sessions[admitted.slot], entry.device === device, !entry.unanswered.isEmpty
                else { return }
                device.onCore { $0.openIncomplete() }
            }
        }
        return device
    }

    /// The socket of a session is gone, or it was closed from here.
    func sessionEnded(_ device: Device) {
        guard let entry = sessions[device.slot], entry.device === device else { return }
        sessions[device.slot] = nil
        sessionDigests.toggle(device.subscription.digest, now: context.clock.now())
        newSessions.removeAll { $0 == device.slot }
        if let user = users[device.request.user], user.onCore({ $0.remove(device) }) {
            users[device.request.user] = nil
        }
        if !configuration.planted.contains(.presenceNotWithdrawn) {
            presence.withdraw(
                user: device.request.user, device: device.request.device, session: device.session,
                at: context.clock.wall(), now: context.clock.now())
        }
        schedulePresenceFlush()
        presenceChanged(device.request.user, isGone: true)
        watch.end(device.slot)
        // The device may open again at once, elsewhere: its leaders must know by then what it has.
        if !ackBuffer.isEmpty { sendAcks() }
        let end = SubscriptionEnd(slot: device.slot, session: device.session)
        for leader in Set(receivers.compactMap { $0.phase != .closed ? $0.leader : nil }).sorted() {
            send(stream: .unsubscribe([end]), to: leader)
        }
        if sessions.isEmpty { drained() }
    }

    // MARK: Revoking

    /// An account was disabled, by the log.
    func revokedHere(_ user: UserID, announce: Bool) {
        endSessions(of: user)
        guard announce else { return }
        for peer in peers.keys.sorted() where peer != me { send(stream: .revoked([user]), to: peer) }
    }

    /// Some tokens of a user were revoked, by the log.
    func tokensRevokedHere(_ revoked: UserRevocations, announce: Bool) {
        judgeSessions(by: revoked)
        guard announce else { return }
        for peer in peers.keys.sorted() where peer != me { send(stream: .tokensRevoked([revoked]), to: peer) }
    }

    func judgeSessions(by revoked: UserRevocations) {
        users[revoked.user]?.onCore { $0.judge(revoked.revocations) }
    }

    /// Acknowledgements of a device that was removed must not come to count for one of the same name.
    func dropAcks(of user: UserID, _ device: DeviceID) {
        for (partition, list) in ackBuffer {
            ackBuffer[partition] = list.filter { $0.key.user != user || $0.key.device != device }
        }
    }

    func endSessions(of user: UserID) {
        users[user]?.onCore { $0.close(code: 4401, reason: "the account was disabled or the token revoked") }
    }
}

/// A session whose upgrade is not answered yet.
struct AdmittedSession: PendingSession {
    let node: Node
    let request: SessionRequest
    let grant: SessionGrant
    let slot: UInt32
    let session: SessionID

    func attach(_ socket: any SessionSocket) -> any SessionEvents {
        let events = node.onCore { AttachedEvents(events: $0.attach(self, socket)) }
        return events.events
    }

    /// Nothing was announced yet.
    func abandon() {}
}

private struct AttachedEvents: Sendable {
    let events: any SessionEvents
}
