internal import ArgumentParser
internal import Foundation
internal import RoostNode
internal import RoostServer

struct CertsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certs", abstract: "The certificates by which nodes know each other.",
        discussion: """
            `roost up`, and nodes of a cluster on loopback alone, need none of it: they make a CA beside the nodes' \
            data and their certificates by themselves.
            """,
        subcommands: [Init.self, Issue.self, Renew.self, Show.self])

    /// Where the CA is.
    struct Options: ParsableArguments {
        @Option(help: "The CA's directory (default: ca beside the data of the file's nodes, else ca).")
        var ca: String?
        @OptionGroup var config: ConfigOptions

        func authority() throws -> (local: LocalAuthority, file: ClusterConfig?) {
            let file = try config.loadIfPresent()
            let standard = file.flatMap { LocalAuthority.directory(of: $0.nodes) } ?? "ca"
            return (LocalAuthority(directory: Self.absolute(ca ?? standard)), file)
        }

        static func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }
    }

    struct Init: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a CA: once for a cluster, on a machine that keeps its key safe.")

        @Option(help: "Days that it is valid.")
        var days = CertificateAuthority.lifetimeDays
        @OptionGroup var options: Options

        func run() async throws {
            try Self.check(days)
            let (local, file) = try options.authority()
            try reportingCertificates { () throws(CertificateError) in
                try local.make(name: file?.cluster ?? "roost", days: days)
            }
            Console.out("\(local.certificate): every node gets it")
            Console.out("\(local.key): stays here; whoever has it can make nodes")
        }

        static func check(_ days: Int) throws {
            guard (1...36_500).contains(days) else { throw Failure("--days must be 1 to 36500", .usage) }
        }
    }

    struct Issue: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key and a certificate for a node.",
            discussion: """
                Bring the three files to the node's machine, into security.certificates or tls in its data directory. \
                With a CA of its own (--ca) it makes certificates for client and admin ports, too: --id is then the \
                name or address that clients know.
                """)

        @Option(help: "The node's id; may be repeated.")
        var id: [String]
        @Option(help: "The directory to write to (default: where the node of the file looks for them, else certs).")
        var out: String?
        @Option(help: "Days that it is valid.")
        var days = CertificateAuthority.nodeLifetimeDays
        @OptionGroup var options: Options

        func run() async throws {
            try Init.check(days)
            let (local, file) = try options.authority()
            for id in id where !ConfigFile.isName(id) {
                throw Failure("--id: \"\(id)\" \(ConfigFile.nameRule)", .usage)
            }
            let all = id.map { files($0, file) }
            for files in all where files.isThere {
                throw Failure(
                    "\(files.certificate) is there already: \"roost certs renew\" makes a new one", .cantCreate)
            }
            for files in all { try CertsCommand.issue(files, local, days: days) }
        }

        private func files(_ id: String, _ file: ClusterConfig?) -> CertificateFiles {
            CertsCommand.files(id, out: out, file) ?? CertificateFiles(directory: Options.absolute("certs"), name: id)
        }
    }

    struct Renew: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make new keys and certificates in the place of those that are here.",
            discussion: "Nodes that run take them by themselves, within security.certificate_check_seconds.")

        @Option(help: "The node's id; may be repeated (default: all of the file that have one here).")
        var id: [String] = []
        @Option(help: "The directory they are in (default: where the nodes of the file look for them).")
        var out: String?
        @Option(help: "Days that it is valid.")
        var days = CertificateAuthority.nodeLifetimeDays
        @OptionGroup var options: Options

        func run() async throws {
            try Init.check(days)
            let (local, file) = try options.authority()
            for files in try CertsCommand.present(id, out: out, file) {
                try CertsCommand.issue(files, local, days: days)
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Whose certificates are here, and until when.")

        @Option(help: "The node's id; may be repeated (default: all of the file that have one here).")
        var id: [String] = []
        @Option(help: "The directory they are in (default: where the nodes of the file look for them).")
        var out: String?
        @OptionGroup var options: Options

        func run() async throws {
            let (local, file) = try options.authority()
            var paths = try CertsCommand.present(id, out: out, file).map(\.certificate)
            if FileManager.default.fileExists(atPath: local.certificate) { paths.insert(local.certificate, at: 0) }
            let rows = try paths.map { path in
                let leaf = try reportingCertificates { () throws(CertificateError) in try LeafCertificate.read(path) }
                let days = Int((leaf.expires.timeIntervalSinceNow / 86_400).rounded(.down))
                return [leaf.names.first ?? "CA", leaf.expires.formatted(.iso8601), "\(days)", path]
            }
            for line in Console.table(["NAME", "EXPIRES", "DAYS", "FILE"], rows) { Console.out(line) }
        }
    }

    // MARK: Files

    private static func files(_ id: String, out: String?, _ file: ClusterConfig?) -> CertificateFiles? {
        if let out { return CertificateFiles(directory: Options.absolute(out), name: id) }
        guard let file, let node = file.nodes.first(where: { "\($0.id)" == id }) else { return nil }
        return CertificateFiles(directory: node.certificates(file.security), name: id)
    }

    /// Those named, which must be there, or all of the file that are.
    private static func present(_ ids: [String], out: String?, _ file: ClusterConfig?) throws -> [CertificateFiles] {
        guard ids.isEmpty else {
            return try ids.map { id in
                guard let files = files(id, out: out, file), files.isThere else {
                    throw Failure("--id: there is no certificate of \(id) here; --out says where", .usage)
                }
                return files
            }
        }
        return (file?.nodes ?? []).compactMap { files("\($0.id)", out: out, file) }.filter(\.isThere)
    }

    private static func issue(_ files: CertificateFiles, _ local: LocalAuthority, days: Int) throws {
        guard local.isThere else {
            throw Failure(
                "\(local.key) is missing: \"roost certs init\" makes a CA; --ca says where one is", .configuration)
        }
        try reportingCertificates { () throws(CertificateError) in try local.issue(files, days: days) }
        for path in [files.authority, files.certificate, files.key] { Console.out(path) }
    }
}

/// Runs `body`, and turns its error into a line and an exit code.
private func reportingCertificates<Value>(_ body: () throws(CertificateError) -> Value) throws -> Value {
    do throws(CertificateError) {
        return try body()
    } catch {
        throw Failure(error.description, .cantCreate)
    }
}
