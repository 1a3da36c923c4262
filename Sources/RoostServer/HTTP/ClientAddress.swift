internal import Foundation
package import NIOCore

/// Whom limits by address mean: an IPv4 address, or the /64 of an IPv6 one, which is what one customer gets.
package struct ClientAddress: Hashable, Sendable {
    private enum Network: Hashable { case v4(UInt32), v6(UInt64), other }

    private let network: Network
    package let isLoopback: Bool
    /// The whole address.
    package let text: String

    package static func == (a: ClientAddress, b: ClientAddress) -> Bool { a.network == b.network }
    package func hash(into hasher: inout Hasher) { hasher.combine(network) }

    package init(_ address: SocketAddress?) {
        text = address?.ipAddress ?? "unknown"
        switch address {
        case .v4(let v4):
            let value = UInt32(bigEndian: v4.address.sin_addr.s_addr)
            network = .v4(value)
            isLoopback = value >> 24 == 127
        case .v6(let v6):
            let (high, low) = withUnsafeBytes(of: v6.address.sin6_addr) {
                (
                    UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)),
                    UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                )
            }
            if high == 0, low >> 32 == 0xffff {
                // An IPv4 address at a socket for both.
                network = .v4(UInt32(truncatingIfNeeded: low))
                isLoopback = low >> 24 & 0xff == 127
            } else {
                network = .v6(high)
                isLoopback = high == 0 && low == 1
            }
        case .unixDomainSocket, nil:
            network = .other
            isLoopback = true
        }
    }
}
