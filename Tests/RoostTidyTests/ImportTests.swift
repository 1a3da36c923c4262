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
                "FoundationEssentials", "Dispatch", "Synchronization", "NIOSSL", "NIOTLS", "X509", "SwiftASN1",
            ]
        ),
        (
            "RoostClient", ["RoostModel", "RoostProtocol"],
            [
                "NIOCore", "NIOPosix", "NIOHTTP1", "NIOWebSocket", "NIOSSL", "NIOTLS", "AsyncHTTPClient", "Logging",
                "Foundation", "Dispatch", "Synchronization",
            ]
        ),
        (
            "RoostCLI", ["RoostModel", "RoostProtocol", "RoostClient", "RoostServer", "RoostNode", "RoostSimulation"],
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

    /// What comes with the toolchain.
    private static let toolchain: Set = [
        "Foundation", "FoundationEssentials", "Dispatch", "Synchronization", "Testing",
    ]

    /// What a target imports it declares: what another target happens to bring along may go away with it. What it
    /// declares and does not import costs everybody who builds it.
    @Test func everyTargetDeclaresWhatItImports() throws {
        let targets = try Manifest.targets()
        #expect(Set(targets.map(\.name)) == Set((SourceTree.sources + SourceTree.tests).map(\.module)))
        for target in targets {
            var imported: Set<String> = []
            for file in SourceTree.sources + SourceTree.tests where file.module == target.name {
                for (line, name) in file.imports where !Self.toolchain.contains(name) {
                    imported.insert(name)
                    if target.products.contains(name) || target.targets.contains(name) { continue }
                    Issue.record("\(file.path):\(line): Package.swift does not declare \(name) for \(target.name)")
                }
            }
            for product in target.products.subtracting(imported).sorted() {
                Issue.record("Package.swift: \(target.name) does not import \(product)")
            }
        }
    }

    @Test func theManifestIsRead() throws {
        let server = try #require(try Manifest.targets().first { $0.name == "RoostServer" })
        #expect(server.products.isSuperset(of: ["NIOCore", "Hummingbird", "JWTKit"]))
        #expect(server.targets.contains("RoostNode"))
    }
}
