import NIOCore
import RoostModel
import Testing

@testable import RoostServer

@Suite(.timeLimit(.minutes(5))) struct ConversationNameTests {
    @Test(arguments: [
        #""""#, #""a\u0000b""#, #""a\nb""#, #""\u007f""#, "\"" + String(repeating: "n", count: 257) + "\"",
        "\"" + String(repeating: "e\u{301}\u{301}\u{301}", count: 200) + "\"",
    ])
    func namesAreBounded(_ name: String) async throws {
        try await TestServer.run(limits: .patient(maxBody: 10_000)) { server in
            let alice = try await server.user("alice")
            let connection = try await server.connect()
            func create(_ name: String) async throws -> TestResponse {
                try await connection.call(
                    "POST", "/api/conversations", token: alice.token,
                    body: #"{"type":"group","name":\#(name),"user_ids":[]}"#)
            }
            let refused = try await create(name)
            #expect(refused.status == 400)
            #expect((refused.object["detail"] as? String)?.hasPrefix("name must be") == true)
            #expect(try await create("\"" + String(repeating: "\u{1f980}", count: 256) + "\"").status == 200)
            #expect(try await create("null").status == 200)
        }
    }
}
