internal import Foundation
internal import RoostClient
internal import RoostModel

/// Makes the accounts and conversations of a run.
struct BenchUsers {
    /// The server checks few passwords at a time; more would only wait there.
    static let concurrency = 8
    private static let attempts = 10
    private static let password = "bench-password-of-no-worth"

    /// One per server: work is spread over all of them.
    let clients: [RoostClient]
    let run: UInt32
    let progress: @Sendable (String) -> Void

    /// Taken from the file where it has enough, else made; the file then holds all of them.
    func prepare(_ count: Int, file: String?) async throws -> [BenchUser] {
        var users: [BenchUser] = []
        if let file, let data = FileManager.default.contents(atPath: file) {
            guard let known = try? JSONDecoder().decode([BenchUser].self, from: data) else {
                throw Failure("--users-file: \(file) can't be read", .usage)
            }
            users = try await usable(known)
        }
        if users.count < count {
            let first = users.count
            users += try await BoundedTasks.map(first..<count, atOnce: Self.concurrency) { number in
                try await make(number)
            }
            if let file { try save(users, to: file) }
        }
        return Array(users.prefix(count))
    }

    /// Tokens of one age expire together: if the first works, all do.
    private func usable(_ known: [BenchUser]) async throws -> [BenchUser] {
        guard let first = known.first else { return [] }
        let answer = try await clients[0].call("GET", "/conversations", token: first.token)
        return answer.isSuccess ? known : []
    }

    private func make(_ number: Int) async throws -> BenchUser {
        let client = clients[number % clients.count]
        let name = "bench-\(String(run, radix: 36))-\(number)"
        let credentials = Credentials(username: name, password: Self.password)
        try await again {
            do throws(RoostError) {
                try await client.register(username: name, password: Self.password)
            } catch {
                // An attempt before, whose answer was lost.
                if error.status != 409 { throw error }
            }
        }
        let token = try await again { try await client.login(credentials) }
        if number % 50 == 49 { progress("\(number + 1) accounts") }
        return BenchUser(username: name, userID: token.userID.description, token: token.token)
    }

    func conversations(_ plan: BenchPlan, _ users: [BenchUser]) async throws -> [ConversationID] {
        try await BoundedTasks.map(plan.conversations.indices, atOnce: 2 * Self.concurrency) { index in
            let conversation = plan.conversations[index]
            let ids = conversation.users.dropFirst().compactMap { UserID(users[$0].userID) }
            let owner = users[conversation.users[0]]
            let client = clients[index % clients.count]
            let id = ConversationID(ClientIDs.uuid())
            return try await again {
                try await client.createConversation(
                    type: conversation.kind == .direct ? .direct : .group,
                    name: conversation.kind == .direct ? nil : "bench \(index)", users: ids,
                    id: conversation.kind == .direct ? nil : id, token: owner.token)
            }.id
        }
    }

    private func again<Value>(_ body: () async throws -> Value) async throws -> Value {
        var delay = 100
        for _ in 1..<Self.attempts {
            do {
                return try await body()
            } catch let error as RoostError where error.retryable {
                try await Task.sleep(for: .milliseconds(max(delay, error.retryAfterMilliseconds ?? 0)))
                delay = min(delay * 2, 2_000)
            }
        }
        return try await body()
    }

    private func save(_ users: [BenchUser], to file: String) throws {
        let data = try JSONEncoder().encode(users)
        unlink(file)
        let descriptor = open(file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure("--users-file: \(file) can't be written", .cantCreate) }
        defer { close(descriptor) }
        guard Console.write(Array(data), to: descriptor) else {
            throw Failure("--users-file: \(file) can't be written: \(String(cString: strerror(errno)))", .cantCreate)
        }
    }
}

enum BoundedTasks {
    /// Maps concurrently, `atOnce` at a time; results in order. The first error ends it.
    static func map<Input: Sendable, Output: Sendable>(
        _ inputs: some Collection<Input>, atOnce: Int, _ body: @escaping @Sendable (Input) async throws -> Output
    ) async throws -> [Output] {
        let inputs = Array(inputs)
        var results = [Output?](repeating: nil, count: inputs.count)
        try await withThrowingTaskGroup(of: (Int, Output).self) { group in
            var next = 0
            func add() {
                guard next < inputs.count else { return }
                let index = next
                next += 1
                let input = inputs[index]
                group.addTask { (index, try await body(input)) }
            }
            for _ in 0..<atOnce { add() }
            while let (index, output) = try await group.next() {
                results[index] = output
                add()
            }
        }
        return results.compactMap { $0 }
    }
}
