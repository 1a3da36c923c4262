import Testing

@testable import RoostCLI

extension ProcessSuite {
    @Suite("One account per name", .cluster())
    struct RegistrationRaceTests {
        @Test("Of two nodes asked at once one registers the name, the other says 409", .timeLimit(.minutes(6)))
        func race() async throws {
            let cluster = try ProcessCluster.shared
            for round in 0..<20 {
                // One spelling each: they are the same name.
                let names = ["Racer-\(round)", "racer-\(round)"]
                async let one = cluster.api(round % 3, "POST", "register", body: ProcessCluster.credentials(names[0]))
                async let two = cluster.api(
                    (round + 1) % 3, "POST", "register", body: ProcessCluster.credentials(names[1]))
                let answers = try await [one, two].sorted { $0.status < $1.status }
                #expect(answers.map(\.status) == [200, 409], "round \(round)")
                let found = try await cluster.api(
                    2, "POST", "login", body: ProcessCluster.credentials(names[1]))
                #expect(found.json["user_id"] == answers[0].json["user_id"])
            }
        }
    }
}
