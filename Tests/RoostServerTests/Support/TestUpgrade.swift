/// Opening handshakes as clients write them.
enum TestUpgrade {
    static func request(
        user: String, query: String = "?device_id=d", protocols: String? = nil, headers: String = "", version: Int = 13
    ) -> String {
        var text = "GET /api/ws/\(user)\(query) HTTP/1.1\r\nhost: test\r\nUpgrade: websocket\r\n"
        text += "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: \(version)\r\n"
        text += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        if let protocols { text += "Sec-WebSocket-Protocol: \(protocols)\r\n" }
        return text + headers + "\r\n"
    }
}
