package import NIOCore
package import NIOHTTP1

/// One HTTP request, its body read whole.
package struct HTTPCall: Sendable {
    package var head: HTTPRequestHead
    package var body: ByteBuffer
    /// Who calls, or the proxy that calls for him.
    package var address: ClientAddress

    package init(
        head: HTTPRequestHead, body: ByteBuffer = ByteBuffer(), address: ClientAddress = ClientAddress(nil)
    ) {
        self.head = head
        self.body = body
        self.address = address
    }

    /// The request target up to the question mark.
    package var path: Substring { head.uri.prefix { $0 != "?" } }
}

/// An answer, its body ready to be sent.
package struct HTTPReply: Sendable {
    package var status: HTTPResponseStatus
    package var headers: HTTPHeaders
    package var body: ByteBuffer
    /// The connection ends after it.
    package var closes: Bool

    package init(
        status: HTTPResponseStatus, headers: HTTPHeaders = [:], body: ByteBuffer = ByteBuffer(), closes: Bool = false
    ) {
        self.status = status
        self.headers = headers
        self.body = body
        self.closes = closes
    }
}

/// What a service answers to a call.
package enum HTTPAnswer: Sendable {
    case reply(HTTPReply)
    /// 101, and the connection is the upgrade's from then on.
    case upgrade(HTTPUpgrade)
}

/// An upgrade that was admitted. Exactly one of the two is called, on the channel's event loop.
package struct HTTPUpgrade: Sendable {
    package var headers: HTTPHeaders
    /// The 101 is written and HTTP's handlers are on their way out: adds the handlers of the new protocol.
    package var install: @Sendable (any Channel) throws -> Void
    /// The connection went away first.
    package var abandon: @Sendable () -> Void

    package init(
        headers: HTTPHeaders, install: @escaping @Sendable (any Channel) throws -> Void,
        abandon: @escaping @Sendable () -> Void
    ) {
        self.headers = headers
        self.install = install
        self.abandon = abandon
    }
}

/// Answers calls; called from any thread, many at once.
package protocol HTTPService: Sendable {
    func answer(_ call: HTTPCall) async -> HTTPAnswer
}
