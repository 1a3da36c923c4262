internal import Crypto
internal import Foundation
package import NIOHTTP1

/// The opening handshake (RFC 6455, section 4.2).
package enum WebSocketHandshake {
    /// The protocol that Roost's own clients offer.
    package static let modernProtocol = "roost.v1"
    private static let guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    /// The value of `Sec-WebSocket-Accept`.
    package static func accept(key: String) -> String {
        Data(Insecure.SHA1.hash(data: Array((key + guid).utf8))).base64EncodedString()
    }

    /// The client's key.
    /// - Throws: 400 or 426 where the request is no such handshake.
    package static func key(of head: HTTPRequestHead) throws(Problem) -> String {
        guard tokens(head, "upgrade").contains("websocket"), tokens(head, "connection").contains("upgrade") else {
            var problem = Problem(.upgradeRequired, "upgrade_required", "this path speaks WebSocket")
            problem.headers = [("upgrade", "websocket"), ("connection", "upgrade")]
            throw problem
        }
        guard head.method == .GET, head.version == .http1_1 else {
            throw Problem(.badRequest, "invalid_http", "a WebSocket is opened by GET and HTTP/1.1")
        }
        guard tokens(head, "sec-websocket-version") == ["13"] else {
            var problem = Problem(.upgradeRequired, "upgrade_required", "this server speaks WebSocket version 13")
            problem.headers = [("sec-websocket-version", "13")]
            throw problem
        }
        let keys = head.headers["sec-websocket-key"]
        guard keys.count == 1, Data(base64Encoded: keys[0])?.count == 16 else {
            throw Problem(.badRequest, "invalid_http", "Sec-WebSocket-Key must be 16 bytes in base64")
        }
        return keys[0]
    }

    /// The items of a list header, in lower case.
    private static func tokens(_ head: HTTPRequestHead, _ name: String) -> [String] {
        head.headers[canonicalForm: name].map { $0.lowercased() }
    }

    /// What `Sec-WebSocket-Protocol` offers.
    package struct Offer: Sendable, Equatable {
        package var isModern = false
        /// The first offered protocol that looks like a JWT.
        package var token: String?

        package init(_ head: HTTPRequestHead) {
            for item in head.headers[canonicalForm: "sec-websocket-protocol"] {
                if item == modernProtocol {
                    isModern = true
                } else if token == nil, item.count(where: { $0 == "." }) == 2 {
                    token = String(item)
                }
            }
        }

        /// What the server answers; nil for nothing.
        package var answer: String? { isModern ? modernProtocol : token }
    }
}
