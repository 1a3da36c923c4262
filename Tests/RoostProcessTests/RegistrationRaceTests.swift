import Testing

@testable import RoostCLI

extension ProcessSuite {
    @Suite("One account per name", .cluster())
    struct RegistrationRaceTests {
        private func register(
            _ name: String, _ cluster: ProcessCluster, at node: Int
        ) async throws -> (answer: HTTPResult, wasUnsure: Bool) {
            var calls = 0
            let answer = try await cluster.served {
                calls += 1
                return try await cluster.api(node, "POST", "register", body: ProcessCluster.credentials(name))
            }
            return (answer, calls > 1)
        }

        @Test("Of two nodes asked at once one registers the name, the other says 409", .timeLimit(.minutes(6)))
        func race() async throws {
            let cluster = try ProcessCluster.shared
            for round in 0..<20 {
                // One spelling each: they are the same name.
                let names = ["Racer-\(round)", "racer-\(round)"]
                async let one = register(names[0], cluster, at: round % 3)
                async let two = register(names[1], cluster, at: (round + 1) % 3)
                let answers = try await [one, two]
                let registered = answers.filter { $0.answer.status == 200 }
                #expect(answers.count { $0.answer.status == 409 } == 2 - registered.count, "round \(round)")
                // Who had 503 first may have registered it by that call, and hears 409 now.
                #expect(registered.count == 1 || registered.isEmpty && answers.contains(where: \.wasUnsure))
                let found = try await cluster.served {
                    try await cluster.api(2, "POST", "login", body: ProcessCluster.credentials(names[1]))
                }
                #expect(found.status == 200)
                for one in registered { #expect(found.json["user_id"] == one.answer.json["user_id"]) }
            }
        }
    }
}
