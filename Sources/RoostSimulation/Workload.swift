import NIOCore
import RoostModel
import RoostNode
import RoostProtocol

/// Users, their devices and what they do: everybody sends, devices vanish and come back elsewhere, sends are repeated
/// under their ids, members come and go, accounts are made twice at once and disabled, histories are read.
package final class Workload {
    private let cluster: SimulationCluster
    private let watch: LogWatch
    private let history: HistoryWatch
    private var generator: SeededGenerator
    package private(set) var devices: [SimulationDevice] = []
    private var names: [String] = []
    private var groups: [ConversationID] = []
    private var channel: ConversationID?
    /// Of each group: the owner, who changes members, and those who come and go.
    private var owner: UserID
    private var guests: [UserID] = []
    private var count = 0
    private var races = 0
    /// How long after a message its id is surely known, in nanoseconds; nil: for good.
    var repeatsWithin: UInt64?
    /// Mean virtual milliseconds between two deeds.
    private let pace: UInt64
    private let prefersCalls: Bool
    private let newcomersSpeak: Bool

    package init(
        cluster: SimulationCluster, watch: LogWatch, history: HistoryWatch, seed: UInt64, scenario: Scenario = .mixed
    ) {
        self.cluster = cluster
        self.watch = watch
        self.history = history
        generator = SeededGenerator(seed: seed)
        pace = [80, 200, 600][Int.random(in: 0...2, using: &generator)] * UInt64(scenario.patience)
        prefersCalls = scenario.prefersCalls
        newcomersSpeak = scenario.newcomersSpeak
        owner = UserID(foldedUsername: "user-0")
    }

    private func random(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &generator) }
    private func pick<T>(_ list: [T]) -> T? { list.randomElement(using: &generator) }
    private func uuid() -> UUID128 { .version4(using: &generator) }

    package var sent: Int { devices.reduce(0) { $0 + $1.sent.count } }
    package var accepted: Int { devices.reduce(0) { $0 + $1.accepted.count } }
    package var received: Int { devices.reduce(0) { $0 + $1.received.values.reduce(0) { $0 + $1.count } } }

    // MARK: Before the faults

    /// Accounts, conversations and devices; false where the cluster did not take them.
    package func prepare() -> Bool {
        let users = random(3...8)
        names = (0..<users).map { "user-\($0)" }
        for name in names + Self.judged {
            guard case .created? = propose(.createAccount(account(name, salt: "first"))) else { return false }
        }
        let ids = names.map { UserID(foldedUsername: $0) }
        guests = Array(ids.suffix(max(1, users / 3)))
        for number in 0..<random(1...3) {
            let id = ConversationID(uuid())
            guard make(id, .group, Array(ids.dropFirst())) else { return false }
            groups.append(id)
            history.begin(group: id, with: guests, number: number)
        }
        let id = ConversationID(uuid())
        guard make(id, .channel, Array(ids.dropFirst())) else { return false }
        channel = id
        for name in names {
            for number in 0..<random(1...3) {
                guard let device = DeviceID("device-\(number)") else { continue }
                devices.append(makeDevice(UserID(foldedUsername: name), device))
            }
        }
        for device in devices { device.connect() }
        for device in devices where random(0...2) > 0 { watchSomebody(by: device) }
        return cluster.run(milliseconds: 20_000) { devices.allSatisfy(\.isCaughtUp) }
    }

    private func makeDevice(_ user: UserID, _ id: DeviceID) -> SimulationDevice {
        let device = SimulationDevice(user: user, device: id, cluster: cluster)
        // One in eight is slow enough to fill its window.
        if random(0...7) == 0 { device.acknowledgeAfter = 500_000_000...3_000_000_000 }
        device.onAccepted = { [watch, history] device, sent, answer in
            watch.accepted(answer.id, in: answer.conversation, from: device.user)
            history.accepted(sent, answer, by: device)
        }
        device.onRefused = { [history] device, sent, code in history.refused(sent, of: device.user, as: code) }
        device.onPresence = { [weak self] in self?.judge($1, at: $0) }
        device.onMessage = { [history] in history.saw($1, by: $0) }
        return device
    }

    private func account(_ name: String, salt: String) -> AccountRecord {
        AccountRecord(
            user: UserID(foldedUsername: name), username: name, passwordHash: salt, role: .user,
            createdAt: SimulationClock.begin)
    }

    private func make(_ id: ConversationID, _ type: ConversationType, _ members: [UserID]) -> Bool {
        let command = CreateConversationCommand(
            id: id, type: type, name: nil, creator: owner, members: members.sorted())
        if case .conversation? = propose(.createConversation(command)) { return true }
        return false
    }

    private func propose(_ command: Command) -> CommandResult? {
        guard let node = pick(cluster.nodeIDs.compactMap { cluster.running[$0]?.node }) else { return nil }
        return cluster.await { await node.propose(command) }
    }

    // MARK: During the faults

    /// When the next deed is due.
    package func nextDelay() -> UInt64 { UInt64(random(0...Int(2 * pace * 1_000_000))) }

    package func act() {
        leaveFrozen()
        if prefersCalls, random(0...9) > 0 { return random(0...2) == 0 ? toggleAccount() : readAccount() }
        for _ in 0..<random(1...4) { send() }
        chat()
        switch random(0...39) {
        case 0: pick(devices)?.disconnect()
        case 1: pick(devices)?.connect(to: pick(cluster.nodeIDs))
        case 15: pick(devices)?.vanish()
        case 2, 3: changeMember()
        case 4, 5: readMember()
        case 6, 7: readHistory()
        case 8, 16: toggleAccount()
        case 9, 10, 17: readAccount()
        case 11: raceForName()
        case 12, 13: repeatSomething()
        case 14: reuseSomething()
        case 18: watchSomebody()
        case 19...24 where newcomersSpeak: changeMember()
        default: break
        }
    }

    /// A client gives up a connection on which nothing comes any more, sooner or later.
    private func leaveFrozen() {
        guard let device = pick(devices), let home = device.home, cluster.isPaused(home), random(0...9) == 0 else {
            return
        }
        device.vanish()
    }

    private func send() {
        guard let device = pick(devices), device.outbox.count < 60 else { return }
        count += 1
        switch random(0...9) {
        case 0...4: if let group = pick(groups) { device.send(to: group, "m\(count)") }
        case 5: if let channel { device.send(to: channel, "c\(count)") }
        default: if let name = pick(names) { device.send(toUser: name, "d\(count)") }
        }
    }

    /// One device says much in one conversation, so that many of its sends are under way at once.
    private func chat() {
        guard let device = devices.first, let group = groups.first, device.outbox.count < 60 else { return }
        for number in 0..<(random(0...3) == 0 ? random(2...6) : 1) {
            count += 1
            let text = "l\(count)"
            cluster.executor.schedule(after: UInt64(number * random(1...15)) * 1_000_000) {
                device.send(to: group, text)
            }
        }
    }

    /// The same message again, later, maybe by another device of its sender at another node.
    private func repeatSomething() {
        guard let device = pick(devices), let sent = pick(Array(device.sent.suffix(200))), isKnown(sent),
            let answer = device.accepted[sent.id],
            let other = pick(devices.filter { $0.user == device.user && $0.isConnected })
        else { return }
        other.repeatSend(sent.send, answered: answer)
    }

    private func isKnown(_ sent: SimulationDevice.Sent) -> Bool {
        repeatsWithin.map { cluster.executor.now < sent.at + $0 } ?? true
    }

    private func reuseSomething() {
        guard let device = pick(devices), let sent = pick(Array(device.sent.suffix(200))), isKnown(sent),
            device.accepted[sent.id] != nil, device.isConnected
        else { return }
        var send = sent.send
        send.content = ByteBuffer(string: "\"another\"")
        device.reuse(send)
    }

    // MARK: Presence

    /// Everybody shares the channel with everybody, but for one who shares nothing.
    private func watchSomebody(by device: SimulationDevice? = nil) {
        guard let device = device ?? pick(devices) else { return }
        var users = names.filter { _ in random(0...2) > 0 }.map { UserID(foldedUsername: $0) }
        if random(0...4) == 0 { users.append(stranger) }
        device.watch(users)
    }

    private var stranger: UserID { UserID(foldedUsername: "judged") }
    private var presenceBreaches: [Breach] = []

    /// Offline is not said before the debounce is over: not of one whom the node that says it had connected itself.
    private func judge(_ told: PresenceFrame, at device: SimulationDevice) {
        func broke(_ text: String) {
            presenceBreaches.append(Breach(.presence, "\(device.user) \(device.device): \(told.user) \(text)"))
        }
        if told.user == stranger { broke("is a stranger") }
        guard !told.status.isOnline, let home = device.home else { return }
        // Less what a clock may be fast.
        let debounce = UInt64(cluster.configuration.timing.presenceDebounceMilliseconds) * 950_000
        for other in devices where other.user == told.user {
            for session in other.sessions.suffix(8) where session.node == home && session.welcome != nil {
                let since = session.endedAt.map { cluster.executor.now - $0 } ?? 0
                if since < debounce { broke("is told to be offline after \(since / 1_000_000) ms") }
            }
        }
    }

    /// What holds of presence so far, and, at rest, whether everybody knows how those stand whom he watches.
    func breachesOfPresence(atRest online: Set<UserID>? = nil) -> [Breach] {
        guard let online else { return presenceBreaches }
        return presenceBreaches
            + devices.flatMap { device -> [Breach] in
                guard let session = device.session else { return [] }
                let wanted = device.watched.filter { $0 != stranger }
                guard session.watches == wanted else {
                    let text = "\(device.user) \(device.device) watches \(session.watches), not \(wanted)"
                    return [Breach(.presence, text)]
                }
                return wanted.compactMap { user in
                    let told = session.presence[user]
                    if told?.isOnline == online.contains(user) { return nil }
                    let text = told.map { "\($0)" } ?? "told nothing"
                    return Breach(
                        .presence,
                        "\(device.user) \(device.device) of \(user): \(text), online: \(online.contains(user))")
                }
            }
    }

    private func ask<T: Sendable>(
        _ body: @escaping @Sendable (Node) async -> T, then end: @escaping @Sendable (T) -> Void
    ) {
        guard let node = pick(runningNodes) else { return }
        cluster.ask(node, body, then: end)
    }

    private var runningNodes: [NodeID] { cluster.nodeIDs.filter { cluster.running[$0] != nil } }

    private func changeMember() {
        guard let group = pick(groups), let guest = pick(guests), let node = pick(runningNodes) else { return }
        let joins = random(0...1) == 0
        let looks = random(0...1) == 0
        guard let call = history.calls(.write(joins ? 1 : 0), on: .member(group, guest)) else { return }
        let command = Command.changeMembers(
            ChangeMembersCommand(conversation: group, actor: owner, users: [guest], action: joins ? .add : .remove))
        let newcomers = joins && newcomersSpeak ? devices.filter { $0.user == guest } : []
        cluster.ask(node) {
            await $0.propose(command)
        } then: { [cluster, history] result in
            guard case .done = result else { return }
            history.answers(call)
            for device in newcomers where device.outbox.count < 60 { device.send(to: group, "here I am") }
            // What was just answered is there for everybody who asks now.
            guard looks, let again = history.calls(.read(0), on: .member(group, guest)) else { return }
            cluster.ask(node) {
                await $0.read(.conversation(group))
            } then: { [history] response in
                history.answers(again, whether: guest, isMemberBy: response)
            }
        }
    }

    private func readMember() {
        guard let group = pick(groups), let guest = pick(guests),
            let call = history.calls(.read(0), on: .member(group, guest))
        else { return }
        ask {
            await $0.read(.conversation(group))
        } then: { [history] response in
            history.answers(call, whether: guest, isMemberBy: response)
        }
    }

    /// Accounts that do nothing else, so that nobody's sessions end by it. One after the other: the more happens to one at
    /// a time, the less is possible.
    private static let judged = (0..<6).map { "judged-\($0)" }

    private var judgedUser: UserID? {
        Self.judged.map { UserID(foldedUsername: $0) }.first { !history.isFull(.disabled($0)) }
    }

    private func toggleAccount() {
        guard let user = judgedUser else { return }
        let disabled = random(0...1) == 0
        guard let call = history.calls(.write(disabled ? 1 : 0), on: .disabled(user)) else { return }
        ask {
            await $0.propose(.setAccountDisabled(user: user, disabled: disabled))
        } then: { [history] result in
            if case .done = result { history.answers(call) }
        }
    }

    private func readAccount() {
        guard let user = judgedUser else { return }
        guard let call = history.calls(.read(0), on: .disabled(user)) else { return }
        ask {
            await $0.read(.account(user))
        } then: { [history] response in
            guard case .account(let record) = response else { return history.deny(response, call) }
            history.answers(call, record.disabled ? 1 : 0)
        }
    }

    private func readHistory() {
        guard let group = pick(groups) else { return }
        let least = history.head(of: group)
        let reader = owner
        ask {
            await $0.read(
                .history(conversation: group, user: reader, before: .max, after: nil, skip: 0, limit: 50))
        } then: { [history] response in
            history.read(response, of: group, atLeast: least)
        }
    }

    /// Two register the same name at once, at two nodes.
    private func raceForName() {
        races += 1
        let name = "racer-\(races)"
        for salt in ["one", "two"] {
            let record = account(name, salt: salt)
            ask {
                await $0.propose(.createAccount(record))
            } then: { [watch, history] result in
                guard case .created = result else { return }
                watch.made(record)
                history.created(record)
            }
        }
    }

    // MARK: After the faults

    /// One message to all.
    package func sayLast(_ device: SimulationDevice) { if let group = groups.first { device.send(to: group, "last") } }

    /// All devices connect anew, at moments of their own, and write to each other meanwhile.
    package func meetAgain(milliseconds: UInt64) {
        for device in devices {
            let times = (0..<4).map { _ in UInt64(random(0...Int(milliseconds))) }
            cluster.executor.schedule(after: times[0] * 1_000_000) { device.connect() }
            for time in times.dropFirst() {
                guard let name = pick(names) else { continue }
                cluster.executor.schedule(after: time * 1_000_000) { device.send(toUser: name, "meanwhile") }
            }
        }
        cluster.run(milliseconds: milliseconds)
    }

    /// Whoever registered a name still has it.
    package func verifyAccounts() {
        for record in history.createdAccounts {
            guard let node = cluster.nodeIDs.compactMap({ cluster.running[$0]?.node }).first else { return }
            let answer = cluster.await { await node.read(.account(record.user)) }
            guard case .account(let found)? = answer, found == record else {
                history.broke(.oneAccount, "\(record.username) was made, and is not there as it was made")
                continue
            }
        }
    }
}
