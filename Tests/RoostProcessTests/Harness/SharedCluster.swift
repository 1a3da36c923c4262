import Testing

@testable import RoostCLI

/// A suite with this trait has one cluster for all its tests, as `ProcessCluster.shared`; each test makes its own users.
struct SharedCluster: SuiteTrait, TestScoping {
    var nodes = 3
    var settings = #","security":{"scrypt_log_n":10}"#

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await ProcessCluster.run(nodes: nodes, settings: settings) { cluster in
            try await ProcessCluster.$current.withValue(cluster) { try await function() }
        }
    }
}

extension Trait where Self == SharedCluster {
    static func cluster(nodes: Int = 3, settings: String = #","security":{"scrypt_log_n":10}"#) -> Self {
        SharedCluster(nodes: nodes, settings: settings)
    }
}

extension ProcessCluster {
    @TaskLocal static var current: ProcessCluster?

    static var shared: ProcessCluster {
        get throws { try current.orThrow("the suite has no cluster") }
    }
}
