import Foundation

@testable import RoostCLI

/// Sends to some conversations in turn, and goes on through lost sessions as a client should: it connects to the next
/// node and sends again, in order, what was not answered.
final class Load: @unchecked Sendable {
    // Unchecked: what changes is touched under `lock` only.
    struct Send: Sendable {
        var id: String
        var conversation: String
        var at: ContinuousClock.Instant
        var acceptedAt: ContinuousClock.Instant?
        var seq: Int?
    }

    private let cluster: ProcessCluster
    private let account: Account
    private let device: String
    private let conversations: [String]
    private let lock = NSLock()
    private var log: [Send] = []
    private var index: [String: Int] = [:]
    private var ending = false
    private var stopped = false
    private var refusals: [JSON] = []
    private var isRefused = false

    /// All sends, in their order.
    var sends: [Send] { lock.withLock { log } }
    var accepted: [Send] { sends.filter { $0.seq != nil } }
    var open: [Send] { sends.filter { $0.seq == nil } }
    /// `error` frames.
    var errors: [JSON] { lock.withLock { refusals } }

    init(_ cluster: ProcessCluster, _ account: Account, _ device: String, to conversations: [String]) {
        self.cluster = cluster
        self.account = account
        self.device = device
        self.conversations = conversations
    }

    /// Runs `body` while sending; then, unless it was stopped, waits until all is answered.
    func run(
        at node: Int, every pause: Duration = .milliseconds(10), _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        async let sending: Void = send(first: node, every: pause)
        do {
            try await body()
        } catch {
            end(waiting: false)
            try? await sending
            throw error
        }
        end(waiting: true)
        try await sending
    }

    /// No more is sent; with `waiting` what was sent must be answered.
    private func end(waiting: Bool) {
        lock.withLock {
            ending = true
            if !waiting { stopped = true }
        }
    }

    /// Gives up what is not answered: there is nobody to answer.
    func stop() { end(waiting: false) }

    private func send(first: Int, every pause: Duration) async throws {
        var node = first
        let clock = ContinuousClock()
        while true {
            if lock.withLock({ stopped }) || lock.withLock({ ending }) && open.isEmpty { return }
            guard let session = try? await cluster.session(account, device, at: node) else {
                node = (node + 1) % cluster.nodes.count
                try await RoostProcessTests.pause(for: .milliseconds(50))
                continue
            }
            var seen = 0
            lock.withLock { isRefused = false }
            for send in open { _ = try? session.send(send.id, to: send.conversation, id: send.id) }
            while !session.isEnded {
                let isEnding = lock.withLock { ending }
                if lock.withLock({ stopped }) || isEnding && open.isEmpty { return session.drop() }
                seen = take(session, from: seen)
                if lock.withLock({ isRefused }) {
                    // As a client should: it waits as it was told, and sends again, in order, what has no answer.
                    try await RoostProcessTests.pause(for: .milliseconds(500))
                    seen = take(session, from: seen)
                    lock.withLock { isRefused = false }
                    for send in open { _ = try? session.send(send.id, to: send.conversation, id: send.id) }
                }
                if !isEnding {
                    let send = lock.withLock {
                        let send = Send(
                            id: newID(), conversation: conversations[log.count % conversations.count], at: clock.now)
                        index[send.id] = log.count
                        log.append(send)
                        return send
                    }
                    _ = try? session.send(send.id, to: send.conversation, id: send.id)
                }
                try await RoostProcessTests.pause(for: pause)
            }
            _ = take(session, from: seen)
            node = (node + 1) % cluster.nodes.count
        }
    }

    /// The content of a send is its id, so `accepted` and deliveries are found by it.
    private func take(_ session: WireSession, from seen: Int) -> Int {
        let arrivals = session.all
        for arrival in arrivals[seen...] {
            let frame = arrival.frame
            guard let id = frame["id"].string else { continue }
            if frame["op"].string == "error" {
                lock.withLock {
                    refusals.append(frame)
                    if frame["retryable"].bool == true { isRefused = true }
                }
            } else if frame["op"].string == "accepted" {
                lock.withLock {
                    guard let at = index[id], log[at].seq == nil else { return }
                    log[at].acceptedAt = arrival.at
                    log[at].seq = frame["seq"].int
                }
            }
        }
        return arrivals.count
    }

    /// The longest time that an answer took.
    var longestWait: Duration {
        sends.map { ($0.acceptedAt ?? .now) - $0.at }.max() ?? .zero
    }
}

/// What one device got in its sessions, one after the other.
struct Deliveries {
    var sessions: [WireSession]

    /// Faults against what is promised, each as a line.
    func faults(accepted: [Load.Send]) -> [String] {
        var faults: [String] = []
        var had: Set<String> = []
        for (number, session) in sessions.enumerated() {
            var last: [String: Int] = [:]
            var counter = 0
            for message in session.messages {
                let conversation = message["conversation_id"].string ?? "?"
                let seq = message["seq"].int ?? 0
                counter += 1
                if message["n"].int != counter { faults.append("session \(number): n \(message["n"]), not \(counter)") }
                if seq <= last[conversation] ?? 0 {
                    faults.append("session \(number), \(conversation): seq \(seq) after \(last[conversation] ?? 0)")
                }
                last[conversation] = seq
                had.insert(message["id"].string ?? "?")
            }
        }
        for send in accepted where !had.contains(send.id) {
            faults.append("lost: \(send.id), seq \(send.seq ?? 0) of \(send.conversation)")
        }
        return faults
    }

    func has(_ sends: [Load.Send]) -> Bool {
        let had = Set(sessions.flatMap { $0.messages }.compactMap { $0["id"].string })
        return sends.allSatisfy { had.contains($0.id) }
    }
}

extension Load {
    /// Faults against the order in which one sender sent to each conversation.
    var orderFaults: [String] {
        conversations.compactMap { conversation in
            let order = accepted.filter { $0.conversation == conversation }.compactMap(\.seq)
            return order == order.sorted() ? nil : "\(conversation): \(order)"
        }
    }
}
