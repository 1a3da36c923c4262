// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that building Roost does not build it. Its modules are links to what is fuzzed, compiled to
// count coverage; `run` adds AddressSanitizer to all of it, the dependencies too.
let settings: [SwiftSetting] = [
    .unsafeFlags(["-sanitize=fuzzer", "-parse-as-library", "-enable-testing"]),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
]

func nio(_ module: String) -> Target.Dependency { .product(name: module, package: "swift-nio") }
func collections(_ module: String) -> Target.Dependency { .product(name: module, package: "swift-collections") }
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

let package = Package(
    name: "roost-fuzz",
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .target(name: "RoostModel", dependencies: [nio("NIOCore"), crypto], swiftSettings: settings),
        .target(name: "RoostProtocol", dependencies: ["RoostModel", nio("NIOCore")], swiftSettings: settings),
        .target(
            name: "RoostCluster",
            dependencies: [
                "RoostModel", "RoostProtocol", nio("NIOCore"), collections("DequeModule"),
                collections("OrderedCollections"),
            ], swiftSettings: settings),
        .target(
            name: "RoostNode", dependencies: ["RoostModel", "RoostProtocol", nio("NIOCore")], swiftSettings: settings),
        .target(
            name: "RoostServer",
            dependencies: [
                "RoostModel", "RoostProtocol", "RoostCluster", "RoostNode", nio("NIOCore"), nio("NIOPosix"),
                nio("NIOTLS"), crypto, logging,
            ], swiftSettings: settings),
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "RoostModel", "RoostProtocol", "RoostCluster", "RoostNode", "RoostServer", nio("NIOCore"),
                nio("NIOEmbedded"),
                nio("NIOConcurrencyHelpers"), logging,
            ], swiftSettings: settings, linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]),
    ]
)
