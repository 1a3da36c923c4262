import Foundation
import NIOConcurrencyHelpers
import RoostModel
import RoostNode
import Testing

@testable import RoostServer

@Suite("A CA on this machine") struct LocalAuthorityTests {
    private let directory = NSTemporaryDirectory() + "roost-local-\(UUID().uuidString)"
    private var authority: LocalAuthority { LocalAuthority(directory: directory + "/ca") }

    private func files(_ node: String) -> CertificateFiles {
        CertificateFiles(directory: "\(directory)/\(node)/tls", name: node)
    }

    private func cleaned(_ body: () async throws -> Void) async rethrows {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try await body()
    }

    private func mode(_ path: String) throws -> Int {
        let all = try FileManager.default.attributesOfItem(atPath: path)
        return try #require(all[.posixPermissions] as? NSNumber).intValue
    }

    @Test func nodesThatStartAtOnceGetOne() async throws {
        try await cleaned {
            let nodes = (1...6).map { files("node-\($0)") }
            let authority = authority
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for own in nodes {
                    group.addTask { try authority.provide(own, cluster: "dev", others: nodes) }
                }
                for try await isNew in group { #expect(isNew) }
            }
            let made = Set(try nodes.map { try Data(contentsOf: URL(fileURLWithPath: $0.authority)) })
            #expect(made.count == 1)
            for own in nodes {
                #expect(try LeafCertificate.read(own.certificate).names == [own.name])
                #expect(try PeerTLS(own).expires > Date() + 364 * 86_400)
                #expect(try mode(own.key) == 0o600 && mode(own.directory) == 0o700)
            }
            #expect(try mode(authority.key) == 0o600)
            #expect(try !authority.provide(nodes[0], cluster: "dev", others: nodes))
        }
    }

    @Test func aCertificateIsRenewedInTime() async throws {
        try await cleaned {
            let own = files("node-1")
            #expect(try authority.provide(own, cluster: "dev", others: []))
            let first = try LeafCertificate.read(own.certificate).expires
            let late = Date() + 340 * 86_400
            #expect(try authority.provide(own, cluster: "dev", others: [], now: late))
            #expect(try LeafCertificate.read(own.certificate).expires >= first)
            // Without the CA it stays as it is.
            try FileManager.default.removeItem(atPath: authority.directory)
            #expect(try !authority.provide(own, cluster: "dev", others: [], now: late))
        }
    }

    @Test func aSecondAuthorityDoesNotPartThem() async throws {
        try await cleaned {
            let nodes = [files("node-1"), files("node-2")]
            #expect(try authority.provide(nodes[0], cluster: "dev", others: nodes))
            try FileManager.default.removeItem(atPath: authority.directory)
            let error = #expect(throws: CertificateError.self) {
                try authority.provide(nodes[1], cluster: "dev", others: nodes)
            }
            #expect(error?.description.contains("put the CA back") == true)
        }
    }

    @Test func aDirectoryThatOthersWriteInIsNotTrusted() async throws {
        try await cleaned {
            try FileManager.default.createDirectory(
                atPath: authority.directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o777])
            try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: authority.directory)
            #expect(throws: CertificateError.self) {
                try authority.provide(files("node-1"), cluster: "dev", others: [])
            }
        }
    }

    @Test(arguments: [
        (["/x/data/node-1", "/x/data/node-2"], "/x/data/ca"), (["/x/data/node-1"], "/x/data/ca"),
        (["/x/node-1/data", "/x/node-2/data"], "/x/ca"), (["/a/one", "/b/two"], "/a/ca"), (["/a", "/b"], "/ca"),
        (["/x/data/1", "/x/data/deep/2"], "/x/data/ca"),
    ])
    func standsBesideAllData(_ data: [String], _ expected: String) {
        let nodes = data.enumerated().map { index, path in
            ClusterConfig.Node(
                id: NodeID("node-\(index)"), host: "127.0.0.1", clientPort: 1, peerPort: 2, adminPort: 3,
                dataDirectory: path)
        }
        #expect(LocalAuthority.directory(of: nodes) == expected)
    }

    /// Each file that is wrong, and what is said of it.
    @Test func whatDoesNotFitIsRefused() async throws {
        try await cleaned {
            let own = files("node-1")
            #expect(try authority.provide(own, cluster: "dev", others: []))
            func refusal(_ files: CertificateFiles) -> String {
                do throws(CertificateError) {
                    _ = try PeerTLS(files)
                    return "taken"
                } catch {
                    return error.description
                }
            }
            #expect(refusal(own) == "taken")
            #expect(refusal(files("node-2")).contains("can't be read: no such file"))
            // Another's.
            let other = CertificateFiles(directory: own.directory, name: "node-2")
            try FileManager.default.copyItem(atPath: own.certificate, toPath: other.certificate)
            try FileManager.default.copyItem(atPath: own.key, toPath: other.key)
            #expect(refusal(other).contains("is the certificate of node-1, not of node-2"))
            // Another key.
            let keys = files("node-3")
            try authority.issue(keys)
            try FileManager.default.removeItem(atPath: keys.key)
            try FileManager.default.copyItem(atPath: own.key, toPath: keys.key)
            #expect(refusal(keys) != "taken")
            // Another CA.
            let stranger = LocalAuthority(directory: directory + "/other")
            try stranger.make(name: "other")
            try FileManager.default.removeItem(atPath: own.authority)
            try FileManager.default.copyItem(atPath: stranger.certificate, toPath: own.authority)
            #expect(refusal(own).contains("is not signed by the CA"))
        }
    }
}
