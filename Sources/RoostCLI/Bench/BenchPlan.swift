/// Who talks to whom, from which server: worked out before anything is connected.
struct BenchPlan: Equatable {
    /// A WebSocket to open.
    struct Endpoint: Equatable {
        var user: Int
        var device: String
        /// Index into the servers.
        var server: Int
        /// Where to go on when the connection is lost.
        var alternatives: [Int]
        var role: Role
    }

    enum Role: Equatable {
        /// Sends in the conversation.
        case sender(conversation: Int)
        case receiver
        case idle
    }

    /// The first user makes it and sends in it.
    struct Conversation: Equatable {
        enum Kind: Equatable {
            case direct
            case group
        }
        var kind: Kind
        var users: [Int]
        /// Of each receiving user.
        var devices = 1
        /// How many devices receive a message of it.
        var receivers: Int { (users.count - 1) * devices }
    }

    /// Devices of one idle user, below the server's limit.
    static let idleDevicesPerUser = 16

    private(set) var users = 0
    private(set) var conversations: [Conversation] = []
    private(set) var endpoints: [Endpoint] = []

    /// - Parameters:
    ///   - groupSize: members of each group with its sender.
    ///   - devices: of each user who receives.
    ///   - senders: servers that senders use, in turns; indexes.
    ///   - refuges: where idle connections go on; nil: with the other idle servers, then their own again.
    init(
        pairs: Int, groups: Int, groupSize: Int, devices: Int = 1, idle: Int, senders: [Int], receivers: [Int],
        idleServers: [Int], refuges: [Int]? = nil
    ) {
        var turn = 0
        func pick(_ servers: [Int]) -> (Int, [Int]) {
            turn += 1
            let chosen = servers[turn % servers.count]
            return (chosen, servers.filter { $0 != chosen } + [chosen])
        }
        for pair in 0..<pairs {
            let conversation = conversations.count
            conversations.append(Conversation(kind: .direct, users: [users, users + 1], devices: devices))
            turn = pair
            let (from, fromOthers) = pick(senders)
            turn = pair
            endpoints.append(
                Endpoint(
                    user: users, device: "bench-s", server: from, alternatives: fromOthers,
                    role: .sender(conversation: conversation)))
            for device in 0..<devices {
                let (to, toOthers) = pick(receivers)
                endpoints.append(
                    Endpoint(
                        user: users + 1, device: Self.receiving(device), server: to, alternatives: toOthers,
                        role: .receiver))
            }
            users += 2
        }
        if groups > 0 {
            // Groups share their receivers, since accounts are what costs the server time to make; each has a sender of
            // its own, who so receives nothing.
            let receiving = Array(users..<users + max(1, groupSize - 1))
            users += receiving.count
            for group in 0..<groups {
                let conversation = conversations.count
                conversations.append(Conversation(kind: .group, users: [users] + receiving, devices: devices))
                let (server, alternatives) = pick(senders)
                endpoints.append(
                    Endpoint(
                        user: users, device: "bench-s", server: server, alternatives: alternatives,
                        role: .sender(conversation: conversation)))
                users += 1
                turn = group
            }
            for user in receiving {
                for device in 0..<devices {
                    let (server, alternatives) = pick(receivers)
                    endpoints.append(
                        Endpoint(
                            user: user, device: Self.receiving(device), server: server, alternatives: alternatives,
                            role: .receiver))
                }
            }
        }
        for number in 0..<idle {
            let (server, alternatives) = pick(idleServers)
            endpoints.append(
                Endpoint(
                    user: users + number / Self.idleDevicesPerUser, device: "bench-i\(number)", server: server,
                    alternatives: refuges.map { Self.turned($0, by: number) } ?? alternatives, role: .idle))
        }
        users += (idle + Self.idleDevicesPerUser - 1) / Self.idleDevicesPerUser
    }

    private static func turned(_ list: [Int], by number: Int) -> [Int] {
        let start = number % max(1, list.count)
        return Array(list[start...] + list[..<start])
    }

    private static func receiving(_ device: Int) -> String { device == 0 ? "bench-r" : "bench-r\(device + 1)" }

    var senderCount: Int { conversations.count }
}
