internal import ArgumentParser
internal import Foundation
internal import RoostNode
internal import RoostServer

struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Start all nodes of the file on this machine.",
        discussion:
            "Starts a node again when it dies. Ctrl-C or SIGTERM drains and stops them; a second one kills them.")

    @OptionGroup var config: ConfigOptions

    @Option(help: "Of the nodes: trace, debug, info, notice, warning, error or critical.")
    var logLevel = "info"

    func run() async throws {
        let loaded = try config.load()
        let path = URL(fileURLWithPath: config.config ?? ConfigOptions.defaultPath).standardizedFileURL.path
        let security = loaded.security
        // With TLS between nodes their certificates prove what the secret would.
        let secret = security.peerTLS ? security.clusterSecretFile : try UpSecret.path(for: loaded)
        let runner = UpRunner(
            config: loaded, configPath: path, secretPath: secret,
            authorityPath: security.peerTLS ? LocalAuthority.directory(of: loaded.nodes) : nil, logLevel: logLevel)
        let code = await runner.run()
        if code != 0 { throw ExitCode(code) }
    }
}
