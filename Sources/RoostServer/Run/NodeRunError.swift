internal import Foundation
internal import NIOCore
internal import RoostStorage

/// Why a node could not start or go on: one line for the operator, and the process's exit code (sysexits.h).
package struct NodeRunError: Error, Sendable, Equatable, CustomStringConvertible {
    package var message: String
    package var exitCode: Int32
    package var description: String { message }

    package init(message: String, exitCode: Int32) {
        self.message = message
        self.exitCode = exitCode
    }

    /// EX_USAGE
    static let usage: Int32 = 64
    /// EX_DATAERR
    static let damaged: Int32 = 65
    /// EX_NOINPUT
    static let noInput: Int32 = 66
    /// EX_UNAVAILABLE
    static let unavailable: Int32 = 69
    /// EX_SOFTWARE
    static let software: Int32 = 70
    /// EX_CANTCREAT
    static let cannotCreate: Int32 = 73
    /// EX_IOERR
    static let inputOutput: Int32 = 74
    /// EX_CONFIG
    static let configuration: Int32 = 78

    /// A port could not be listened on. `key` is the one of `cluster.json` to look at.
    static func binding(_ host: String, _ port: Int, key: String, _ error: any Error) -> NodeRunError {
        let reason: String
        if let error = error as? IOError {
            reason =
                error.errnoCode == EADDRINUSE
                ? "the port is in use by another process" : ConnectionTrouble.words(error.errnoCode)
        } else if error is SocketAddressError.UnknownHost {
            reason = "this machine knows no address of that name"
        } else {
            reason = "\(error)"
        }
        return NodeRunError(message: "cannot listen on \(host):\(port) (\(key)): \(reason)", exitCode: unavailable)
    }

    /// The database could not be opened.
    static func opening(_ error: StoreError, directory: String) -> NodeRunError {
        switch error {
        case .full(let reason), .failed(let reason):
            NodeRunError(message: "data_dir \(directory): \(reason)", exitCode: cannotCreate)
        case .corrupt(let reason), .damagedState(_, let reason):
            NodeRunError(
                message: "data_dir \(directory): the database is damaged: \(reason)", exitCode: inputOutput)
        case .damagedEntry(let damage):
            NodeRunError(
                message: "data_dir \(directory): the database is damaged: \(damage)", exitCode: inputOutput)
        }
    }
}
