internal import ArgumentParser
internal import RoostClient
internal import RoostServer

/// Ends a command: one line for a person, one code for a script (sysexits.h).
struct Failure: Error {
    var message: String
    var exitCode: ExitCode

    init(_ message: String, _ exitCode: ExitCode = .failure) {
        self.message = message
        self.exitCode = exitCode
    }

    init(_ error: ConfigError) { self.init(error.description, .configuration) }

    init(_ error: RoostError) {
        let code: ExitCode =
            switch error.code {
            case .unauthorized: .noPermission
            case .unreachable, .unavailable, .timeout, .rateLimited: .unavailable
            default: error.status == 403 ? .noPermission : .failure
            }
        self.init(error.description, code)
    }
}

extension ExitCode {
    /// EX_USAGE
    static let usage = ExitCode(64)
    /// EX_UNAVAILABLE
    static let unavailable = ExitCode(69)
    /// EX_CANTCREAT
    static let cantCreate = ExitCode(73)
    /// EX_NOPERM
    static let noPermission = ExitCode(77)
    /// EX_CONFIG
    static let configuration = ExitCode(78)
}

/// Runs `body`, and turns the library's errors into a line and an exit code.
func reporting<Value>(_ body: () async throws -> Value) async throws -> Value {
    do {
        return try await body()
    } catch let error as RoostError {
        throw Failure(error)
    } catch let error as ConfigError {
        throw Failure(error)
    }
}
