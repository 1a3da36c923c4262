import Foundation

@testable import RoostCLI

/// A TCP connection to this machine. Every call blocks, for a bounded time.
final class Wire: Sendable {
    private let descriptor: Int32

    /// - Parameter timeout: of one read or write, seconds.
    init(port: Int, timeout: Int = 15) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw HarnessError("no socket: \(String(cString: strerror(errno)))") }
        var limit = timeval(tv_sec: timeout, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        let connected = Self.withAddress(port: port) { connect(descriptor, $0, $1) }
        guard connected == 0 else {
            let reason = String(cString: strerror(errno))
            Foundation.close(descriptor)
            throw HarnessError("port \(port): \(reason)")
        }
        // Last: an object that has all its properties runs `deinit` when its `init` throws, and would close twice.
        self.descriptor = descriptor
    }

    deinit { Foundation.close(descriptor) }

    func write(_ bytes: some Sequence<UInt8>) throws {
        let bytes = Array(bytes)
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw HarnessError("write: \(String(cString: strerror(errno)))") }
            sent += count
        }
    }

    func write(_ text: String) throws { try write(text.utf8) }

    /// Empty at the end; a connection that was reset has ended too.
    func read(atMost count: Int = 65_536) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let read = recv(descriptor, &bytes, count, 0)
        if read < 0 && errno != ECONNRESET { throw HarnessError("read: \(String(cString: strerror(errno)))") }
        return Array(bytes.prefix(max(0, read)))
    }

    /// Everything up to the end.
    func readAll() throws -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let bytes = try read()
            if bytes.isEmpty { return all }
            all += bytes
        }
    }

    /// Ends both directions; whoever reads sees the end.
    func shut() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Nothing follows from this side.
    func shutWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Ends it with a reset.
    func reset() {
        var hard = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &hard, socklen_t(MemoryLayout<linger>.size))
        shut()
    }

    private static func withAddress(port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// A bound and listening port that nobody serves, until the value goes.
    final class Squatter {
        let port: Int
        private let descriptor: Int32

        init?(port: Int) {
            guard let descriptor = FreePorts.occupy(port) else { return nil }
            self.port = port
            self.descriptor = descriptor
        }

        deinit { Foundation.close(descriptor) }
    }
}
