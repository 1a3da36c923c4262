import Testing

/// Which module may import which: of ours only what stands below it, of others only what it is for.
@Suite struct ImportTests {
    private static let below: [(module: String, ours: Set<String>, others: Set<String>)] = [
        ("RoostModel", [], ["NIOCore", "Crypto"]),
        ("RoostProtocol", ["RoostModel"], ["NIOCore"]),
        ("RoostCluster", ["RoostModel", "RoostProtocol"], ["NIOCore", "DequeModule", "OrderedCollections"]),
        (
            "RoostConsensus", ["RoostModel", "RoostProtocol", "RoostCluster"],
            ["NIOCore", "DequeModule", "OrderedCollections", "Crypto"]
        ),
        (
            "RoostStorage", ["RoostModel", "RoostProtocol", "RoostConsensus"],
            ["Foundation", "GRDB", "GRDBSQLite", "NIOCore", "Synchronization"]
        ),
        (
            "RoostNode", ["RoostModel", "RoostProtocol", "RoostCluster", "RoostConsensus", "RoostStorage"],
            ["NIOCore", "DequeModule", "OrderedCollections", "Logging", "Synchronization"]
        ),
        (
            "RoostSimulation",
            ["RoostModel", "RoostProtocol", "RoostCluster", "RoostConsensus", "RoostStorage", "RoostNode"],
            ["NIOCore", "DequeModule", "OrderedCollections", "Logging", "Synchronization"]
        ),
        (
            "RoostServer",
            ["RoostModel", "RoostProtocol", "RoostCluster", "RoostConsensus", "RoostStorage", "RoostNode"],
            [
                "NIOCore", "NIOPosix", "NIOHTTP1", "NIOConcurrencyHelpers", "Hummingbird", "HTTPTypes", "JWTKit",
                "Crypto", "CryptoExtras", "Logging", "DequeModule", "OrderedCollections", "Foundation",
                "FoundationEssentials", "Dispatch", "Synchronization",
            ]
        ),
        (
            "RoostClient", ["RoostModel", "RoostProtocol"],
            [
                "NIOCore", "NIOPosix", "NIOHTTP1", "NIOWebSocket", "AsyncHTTPClient", "Logging", "Foundation",
                "Dispatch", "Synchronization",
            ]
        ),
        (
            "RoostCLI", ["RoostModel", "RoostProtocol", "RoostClient", "RoostServer", "RoostNode"],
            [
                "ArgumentParser", "AsyncHTTPClient", "Histogram", "NIOCore", "NIOPosix", "Logging", "Foundation",
                "Dispatch", "Synchronization",
            ]
        ),
    ]

    @Test func everyModuleHasItsPlace() {
        #expect(Set(SourceTree.sources.map(\.module)) == Set(Self.below.map(\.module)))
    }

    @Test(arguments: below.map(\.module))
    func importsOnlyWhatStandsBelow(_ module: String) throws {
        let row = try #require(Self.below.first { $0.module == module })
        for file in SourceTree.sources where file.module == module {
            for (line, name) in file.imports where !row.ours.contains(name) && !row.others.contains(name) {
                Issue.record("\(file.path):\(line): \(module) must not import \(name)")
            }
        }
    }

    /// What a target declares and does not use costs everybody who builds it.
    @Test func packagesAreUsed() throws {
        let manifest = try SourceTree.text("Package.swift")
        let imported = Set((SourceTree.sources + SourceTree.tests).flatMap { $0.imports.map(\.module) })
        for match in manifest.matches(of: /\.product\(name: "(\w+)"/) where !imported.contains(String(match.1)) {
            Issue.record("Package.swift: nothing imports \(match.1)")
        }
    }
}
