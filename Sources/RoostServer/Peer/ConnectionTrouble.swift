internal import Foundation
internal import NIOCore
internal import NIOPosix

/// What went wrong with a connection, in the words of the system, without calls and numbers.
enum ConnectionTrouble {
    static func text(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let cause = error.connectionErrors.first?.error { return text(cause) }
            return error.dnsAError == nil && error.dnsAAAAError == nil
                ? "no address to connect to" : "the name \(error.host) is not known"
        case let error as IOError: return words(error.errnoCode)
        case ChannelError.connectTimeout: return "no answer in time"
        case ChannelError.eof, ChannelError.ioOnClosedChannel, ChannelError.alreadyClosed, ChannelError.inputClosed,
            ChannelError.outputClosed:
            return "closed by the other end"
        default: return TLSTrouble.text(error) ?? "\(error)"
        }
    }

    /// "connection refused", say: as a part of a sentence.
    static func words(_ code: CInt) -> String {
        let text = String(cString: strerror(code))
        return text.prefix(1).lowercased() + text.dropFirst()
    }
}
