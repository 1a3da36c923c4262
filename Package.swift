// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
]

/// What the simulator runs is optimised in debug builds too: a run takes a third of the time. Not where this package is
/// somebody's dependency, which may not have such flags.
let isDependency = Context.packageDirectory.contains("/checkouts/")
let hot = settings + (isDependency ? [] : [.unsafeFlags(["-O"], .when(configuration: .debug))])

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioConcurrency: Target.Dependency = .product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioWebSocket: Target.Dependency = .product(name: "NIOWebSocket", package: "swift-nio")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let ordered: Target.Dependency = .product(name: "OrderedCollections", package: "swift-collections")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

let package = Package(
    name: "roost",
    products: [
        .executable(name: "roost", targets: ["RoostCLI"]),
        .library(name: "RoostClient", targets: ["RoostClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        .target(name: "RoostModel", dependencies: [crypto, nioCore], swiftSettings: hot),
        .target(name: "RoostProtocol", dependencies: ["RoostModel", nioCore], swiftSettings: hot),
        .target(
            name: "RoostCluster", dependencies: ["RoostModel", "RoostProtocol", nioCore, deque, ordered],
            swiftSettings: hot),
        .target(
            name: "RoostConsensus",
            dependencies: ["RoostModel", "RoostProtocol", "RoostCluster", nioCore, deque],
            swiftSettings: hot),
        .target(
            name: "RoostStorage",
            dependencies: [
                "RoostModel", "RoostProtocol", "RoostConsensus", nioCore,
                .product(name: "GRDB", package: "GRDB.swift"), .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ], swiftSettings: hot),
        .target(
            name: "RoostNode",
            dependencies: [
                "RoostModel", "RoostProtocol", "RoostCluster", "RoostConsensus", "RoostStorage", nioCore, deque,
                ordered,
                logging,
            ], swiftSettings: hot),
        .target(
            name: "RoostServer",
            dependencies: [
                "RoostModel", "RoostProtocol", "RoostCluster", "RoostConsensus", "RoostStorage", "RoostNode", nioCore,
                nioPosix, nioHTTP1, nioConcurrency, nioSSL, logging, crypto,
                nioTLS, .product(name: "X509", package: "swift-certificates"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "JWTKit", package: "jwt-kit"),
            ], swiftSettings: settings),
        .target(
            name: "RoostSimulation",
            dependencies: [
                "RoostModel", "RoostProtocol", "RoostCluster", "RoostConsensus", "RoostStorage", "RoostNode", nioCore,
                logging,
            ], swiftSettings: hot),
        .target(
            name: "RoostClient",
            dependencies: [
                "RoostModel", "RoostProtocol", nioCore, nioPosix, nioHTTP1, nioWebSocket, nioSSL, nioTLS,
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
            ], swiftSettings: settings),
        .executableTarget(
            name: "RoostCLI",
            dependencies: [
                "RoostModel", "RoostProtocol", "RoostClient", "RoostServer", "RoostNode", "RoostSimulation", nioCore,
                nioPosix, logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ], swiftSettings: settings),
        .testTarget(
            name: "RoostModelTests", dependencies: ["RoostModel"], swiftSettings: settings),
        .testTarget(
            name: "RoostProtocolTests", dependencies: ["RoostModel", "RoostProtocol", nioCore], exclude: ["Vectors"],
            swiftSettings: settings),
        .testTarget(
            name: "RoostClusterTests", dependencies: ["RoostModel", "RoostProtocol", "RoostCluster"],
            swiftSettings: settings),
        .testTarget(
            name: "RoostConsensusTests",
            dependencies: ["RoostModel", "RoostProtocol", "RoostCluster", "RoostConsensus", nioCore],
            exclude: ["Raft/Transcripts"], swiftSettings: settings),
        .testTarget(
            name: "RoostStorageTests",
            dependencies: [
                "RoostModel", "RoostProtocol", "RoostConsensus", nioCore, "RoostStorage",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "RoostNodeTests",
            dependencies: [
                "RoostModel", "RoostProtocol", "RoostCluster", "RoostConsensus", nioCore, "RoostStorage", "RoostNode",
                "RoostSimulation",
            ], swiftSettings: settings),
        .testTarget(
            name: "RoostSimulationTests",
            dependencies: [
                "RoostModel", "RoostProtocol", "RoostCluster", "RoostConsensus", nioCore, "RoostStorage", "RoostNode",
                "RoostSimulation",
            ], swiftSettings: settings),
        .testTarget(
            name: "RoostServerTests",
            dependencies: [
                "RoostModel", "RoostProtocol", "RoostCluster", "RoostStorage", "RoostNode", "RoostServer", nioCore,
                nioPosix, nioHTTP1, nioConcurrency, nioSSL, logging, crypto,
                .product(name: "NIOEmbedded", package: "swift-nio"),
            ], swiftSettings: settings),
        .testTarget(
            name: "RoostClientTests",
            dependencies: [
                "RoostModel", "RoostProtocol", "RoostClient", nioCore, nioPosix, nioHTTP1, nioWebSocket,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "RoostCLITests",
            dependencies: [
                "RoostModel", "RoostProtocol", "RoostNode", "RoostServer", "RoostClient", "RoostCLI", nioCore, nioPosix,
            ],
            swiftSettings: settings),
        .testTarget(name: "RoostTidyTests", swiftSettings: settings),
        .testTarget(
            name: "RoostProcessTests",
            dependencies: [
                "RoostModel", "RoostProtocol", "RoostClient", "RoostCLI",
                nioCore, nioPosix,
            ],
            swiftSettings: settings),
    ]
)
