internal import ArgumentParser
internal import Foundation

@main
struct Roost: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roost",
        abstract: "A distributed messaging server: the cluster, its operator's tools and a client.",
        version: "roost 0.1.0",
        subcommands: [
            UpCommand.self, NodeCommand.self, CertsCommand.self, StatusCommand.self, LeaveCommand.self,
            RemoveCommand.self, UsersCommand.self, KeysCommand.self, RegisterCommand.self, LoginCommand.self,
            WebSocketCommand.self, CallCommand.self, BenchCommand.self, RecoverCommand.self, SimulateCommand.self,
            TortureCommand.self,
        ])

    static func main() async {
        Console.occupy()
        // A peer that went away is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let failure as Failure {
            Console.error(failure.message)
            Foundation.exit(failure.exitCode.rawValue)
        } catch {
            exit(withError: error)
        }
    }
}
