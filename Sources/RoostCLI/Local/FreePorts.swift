internal import Foundation
internal import Synchronization

/// TCP ports of loopback.
enum FreePorts {
    /// Below the range of outgoing connections (`ip_local_port_range`), so that none of those takes the port of a node
    /// that is just being started again.
    private static let range = 15_000..<32_000

    /// Given out by this process already: to somebody who has perhaps not bound it yet.
    private static let given = Mutex<Set<Int>>([])

    /// Different ports, free now.
    static func take(_ count: Int) throws -> [Int] {
        var ports: [Int] = []
        for _ in range {
            if ports.count == count { return ports.sorted() }
            let port = Int.random(in: range)
            guard given.withLock({ $0.insert(port).inserted }), let descriptor = occupy(port) else { continue }
            close(descriptor)
            ports.append(port)
        }
        throw Failure("no \(count) free ports from \(range.lowerBound) to \(range.upperBound - 1)")
    }

    /// A socket that listens there, for the caller to close; nil where the port is taken.
    static func occupy(_ port: Int) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard bound == 0, listen(descriptor, 1) == 0 else {
            close(descriptor)
            return nil
        }
        return descriptor
    }
}
