import Crypto
import Foundation
internal import NIOConcurrencyHelpers
import NIOConcurrencyHelpers
import NIOCore
internal import NIOHTTP1
import NIOHTTP1
import RoostModel
import RoostNode
import RoostProtocol
import Testing

@testable import RoostServer

/// Tokens made by hand, as an attacker would.
@Suite struct TokenTests {
    private let node = FakeNode()
    private let user = UserID(foldedUsername: "alice")
    private let phone = DeviceID(validated: "phone")

    /// Some of its tokens were revoked before.
    private var account: AccountRecord {
        var account = AccountRecord(user: user, username: "alice", passwordHash: "", role: .admin, createdAt: 1)
        account.revocations.revokeAll()
        return account
    }

    private func forge(
        header: [String: Any]? = nil, changing: [String: Any] = [:], removing: [String] = [],
        secret: String = "secret of key-1, long enough for HS256", signature: String? = nil
    ) throws -> String {
        var claims: [String: Any] = [
            "iss": "roost", "aud": "test", "sub": user.description, "iat": 1_699_999_000, "exp": 1_700_000_900,
            "role": "user", "jti": "0195f1c2-0000-7000-8000-000000000001", "gen": 0,
        ]
        for (name, value) in changing { claims[name] = value }
        for name in removing { claims[name] = nil }
        let head = header ?? ["alg": "HS256", "typ": "at+jwt", "kid": "key-1"]
        let input = try [head, claims]
            .map { Base64URL.encode(Array(try JSONSerialization.data(withJSONObject: $0))) }.joined(separator: ".")
        let code = HMAC<SHA256>.authenticationCode(for: Data(input.utf8), using: SymmetricKey(data: Data(secret.utf8)))
        return input + "." + (signature ?? Base64URL.encode(Array(code)))
    }

    private func verify(_ token: String) async throws -> Caller { try await TokenAuthority(node: node).verify(token) }

    private func refuses(_ token: String, _ comment: Comment) async {
        let problem = await #expect(throws: Problem.self, comment) { try await verify(token) }
        #expect(problem?.status.code == 401, comment)
    }

    @Test func anIssuedTokenIsTaken() async throws {
        let authority = TokenAuthority(node: node)
        let issued = try await authority.issue(to: account, role: .admin, device: phone)
        #expect(issued.expiresIn == 86_400)
        let caller = try await authority.verify(issued.token)
        #expect(caller.user == user && caller.role == .admin && caller.expires == 1_700_086_400)
        #expect(caller.device == phone && caller.issued == 1_700_000_000 && caller.token.generation == 1)
        // No two are alike.
        let other = try await authority.verify(authority.issue(to: account, role: .admin).token)
        #expect(other.token.id != caller.token.id && other.device == nil)
        // Another node of the cluster takes it, too.
        #expect(try await verify(issued.token) == caller)
    }

    @Test func aTokenMadeByTheRulesIsTaken() async throws {
        let caller = try await verify(forge())
        #expect(caller.user == user && caller.role == .user && caller.expires == 1_700_000_900)
    }

    @Test func otherAlgorithmsAreRefused() async throws {
        for algorithm in ["none", "None", "NONE", "HS384", "HS512", "RS256", "ES256", "hs256", ""] {
            let header = ["alg": algorithm, "typ": "at+jwt", "kid": "key-1"]
            await refuses(try forge(header: header), "alg \(algorithm)")
            await refuses(try forge(header: header, signature: ""), "alg \(algorithm), unsigned")
        }
        await refuses(try forge(header: ["typ": "at+jwt", "kid": "key-1"]), "no alg")
        await refuses(try forge(header: ["alg": "HS256", "typ": "at+jwt"]), "no kid")
        await refuses(
            try forge(header: ["alg": "HS256", "typ": "at+jwt", "kid": "key-1", "crit": ["exp"]]),
            "an extension that must be understood")
        for key in ["jwk", "jku", "x5u"] {
            let hostile = ["alg": "HS256", "typ": "at+jwt", "kid": "key-9", key: "http://127.0.0.1/key"]
            await refuses(try forge(header: hostile, secret: "another"), "a key that the token brings along")
        }
    }

    /// RFC 8725, 3.11: a token for something else is no access token, whatever key signed it.
    @Test func otherTypesAreRefused() async throws {
        for type in ["JWT", "jwt", "id+jwt", "logout+jwt", ""] {
            await refuses(try forge(header: ["alg": "HS256", "typ": type, "kid": "key-1"]), "typ \(type)")
        }
        await refuses(try forge(header: ["alg": "HS256", "kid": "key-1"]), "no typ")
        #expect(try await verify(forge(header: ["alg": "HS256", "typ": "AT+JWT", "kid": "key-1"])).user == user)
    }

    @Test func forgedSignaturesAreRefused() async throws {
        await refuses(try forge(secret: "another secret"), "another secret")
        await refuses(try forge(secret: ""), "no secret")
        await refuses(try forge(signature: ""), "no signature")
        await refuses(try forge(signature: "AAAA"), "a short signature")
        let good = try forge()
        let parts = good.split(separator: ".")
        let other = try forge(changing: ["role": "admin"]).split(separator: ".")
        await refuses("\(parts[0]).\(other[1]).\(parts[2])", "another token's claims")
    }

    @Test func claimsAreChecked() async throws {
        await refuses(try forge(changing: ["exp": 1_700_000_000]), "expired this second")
        await refuses(try forge(changing: ["exp": 1]), "expired long ago")
        await refuses(try forge(changing: ["aud": "other"]), "another cluster's")
        await refuses(try forge(changing: ["iss": "other"]), "another issuer's")
        await refuses(try forge(changing: ["sub": "alice"]), "a subject that is no id")
        await refuses(try forge(changing: ["role": "root"]), "an unknown role")
        await refuses(try forge(changing: ["exp": "1700000900"]), "a claim of the wrong type")
        await refuses(try forge(changing: ["iat": 1_700_000_400]), "issued in the future")
        await refuses(try forge(changing: ["iat": 1_700_000_900]), "issued when it expires")
        await refuses(try forge(changing: ["jti": "1"]), "an id that is none")
        await refuses(try forge(changing: ["gen": -1]), "a generation that is none")
        await refuses(try forge(changing: ["device_id": "a b"]), "a device that is none")
        for claim in ["iss", "aud", "sub", "iat", "exp", "role", "jti", "gen"] {
            await refuses(try forge(removing: [claim]), "without \(claim)")
        }
    }

    @Test func otherTextsAreNoTokens() async throws {
        for text in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "\u{0}", String(repeating: ".", count: 100)] {
            await refuses(text, "\(text)")
        }
        let long = try forge(changing: ["pad": String(repeating: "a", count: 4_096)])
        await refuses(long, "a valid token that is too long")
    }

    @Test func anUnknownKeyIsAskedForOnceASecond() async throws {
        node.state.withLockedValue { $0.laterKeys = [FakeNode.key("key-2", createdAt: 1)] }
        let authority = TokenAuthority(node: node)
        _ = try await authority.verify(forge())
        node.state.withLockedValue { $0.wall += 2_000_000 }
        let fresh = try forge(
            header: ["alg": "HS256", "typ": "at+jwt", "kid": "key-2"], secret: "secret of key-2, long enough for HS256")
        #expect(try await authority.verify(fresh).user == user)
        #expect(node.state.withLockedValue { $0.refreshes } == 1)

        let unknown = try forge(header: ["alg": "HS256", "typ": "at+jwt", "kid": "key-3"])
        for _ in 0..<5 {
            await #expect(throws: Problem.self) { try await authority.verify(unknown) }
        }
        #expect(node.state.withLockedValue { $0.refreshes } == 1)
        node.state.withLockedValue { $0.wall += 2_000_000 }
        await #expect(throws: Problem.self) { try await authority.verify(unknown) }
        #expect(node.state.withLockedValue { $0.refreshes } == 2)
    }

    /// An unknown key is looked up before a token is refused; where it cannot be, nobody knows.
    @Test func aKeyThatCannotBeLookedUpRefusesNobody() async throws {
        let authority = TokenAuthority(node: node)
        node.state.withLockedValue { $0.keysUnknown = true }
        let token = try forge(header: ["alg": "HS256", "typ": "at+jwt", "kid": "key-3"])
        let problem = await #expect(throws: Problem.self) { try await authority.verify(token) }
        #expect(problem?.status.code == 503)
        #expect(try await authority.verify(forge()).user == user)
    }

    @Test func aRemovedKeyIsRefusedWithinASecond() async throws {
        let authority = TokenAuthority(node: node)
        #expect(try await authority.verify(forge()).user == user)
        node.state.withLockedValue {
            $0.keys = [FakeNode.key("key-2", createdAt: 1)]
            $0.wall += 500_000
        }
        let problem = await #expect(throws: Problem.self) { try await authority.verify(forge()) }
        #expect(problem?.status.code == 401)
    }

    @Test func withoutKeysNobodyIsRefusedForGood() async throws {
        node.state.withLockedValue {
            $0.keys = []
            $0.keysUnknown = true
        }
        let token = try forge()
        let problem = await #expect(throws: Problem.self) { try await verify(token) }
        #expect(problem?.status.code == 503)
    }

    /// Both verify all the time: nobody is logged out.
    @Test func aNewKeySignsOnlyWhenItIsActive() async throws {
        let authority = TokenAuthority(node: node)
        let old = try await authority.issue(to: account, role: .user).token
        func signer() async throws -> String? {
            let token = try await authority.issue(to: account, role: .user).token
            #expect(try await authority.verify(token).user == user)
            let header = Base64URL.decode(token.split(separator: ".")[0].utf8) ?? Data()
            return try JSONDecoder().decode(TokenHeader.self, from: header).kid
        }
        node.state.withLockedValue { $0.keys.append(FakeNode.key("key-2", createdAt: $0.wall, activeAt: 0)) }
        #expect(try await signer() == "key-1")
        node.state.withLockedValue { $0.keys[1].activeAt = $0.wall }
        #expect(try await signer() == "key-2")
        #expect(try await authority.verify(old).user == user)
    }
}
