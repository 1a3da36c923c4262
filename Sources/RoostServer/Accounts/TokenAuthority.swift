internal import Foundation
internal import JWTKit
internal import NIOCore
package import RoostModel
package import RoostNode
internal import RoostProtocol

/// Signs and checks access tokens: JWT, HS256 and nothing else, by the cluster's signing keys.
package actor TokenAuthority {
    package static let issuer = "roost"
    /// Bytes.
    package static let maxTokenLength = 4_096
    /// An unknown key is asked for at most once in this time, microseconds.
    private static let refreshInterval: Int64 = 1_000_000
    /// A key signs when every node has had this long to hear of it, microseconds.
    private static let settleTime: Int64 = 60_000_000

    package struct Issued: Sendable {
        package var token: String
        package var expiresIn: Int
    }

    private let node: any NodeService
    private let audience: String
    private let lifetimeSeconds: Int
    private var keys = JWTKeyCollection()
    private var known: [String: Int64] = [:]
    private var lastRefresh: Int64?

    package init(node: any NodeService) {
        self.node = node
        audience = node.configuration.cluster
        lifetimeSeconds = node.configuration.security.tokenLifetimeSeconds
    }

    package func issue(to user: UserID, role: AccountRole) async throws -> Issued {
        if known.isEmpty { await refresh() }
        guard let kid = signingKeyID() else { throw Problem.unavailable("the cluster has no signing key yet") }
        let now = node.wall() / 1_000_000
        let claims = TokenClaims(
            iss: Self.issuer, aud: audience, sub: user.description, iat: Int(now), exp: Int(now) + lifetimeSeconds,
            role: role.name)
        return Issued(
            token: try await keys.sign(claims, kid: JWKIdentifier(string: kid)), expiresIn: lifetimeSeconds)
    }

    /// - Throws: 401, or 503 where the keys cannot be had.
    package func verify(_ token: String) async throws(Problem) -> Caller {
        let bytes = Array(token.utf8)
        guard bytes.count <= Self.maxTokenLength else { throw .unauthorized("the token is too long") }
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Self.header(parts[0]) else {
            throw .unauthorized("this is not a token")
        }
        guard header.alg == "HS256", header.crit == nil else {
            throw .unauthorized("the token is not signed as this cluster signs")
        }
        if known[header.kid] == nil { await refresh() }
        guard known[header.kid] != nil else {
            if known.isEmpty { throw .unavailable("the signing keys cannot be read") }
            throw .unauthorized("the token's key is unknown")
        }
        let claims: TokenClaims
        do {
            claims = try await keys.verify(bytes, as: TokenClaims.self)
        } catch {
            throw .unauthorized("the token's signature does not hold")
        }
        return try check(claims)
    }

    private func check(_ claims: TokenClaims) throws(Problem) -> Caller {
        guard claims.iss == Self.issuer, claims.aud == audience else {
            throw .unauthorized("the token was made for somebody else")
        }
        guard Int64(claims.exp) > node.wall() / 1_000_000 else { throw .unauthorized("the token has expired") }
        guard let user = UserID(claims.sub), let role = AccountRole(name: claims.role) else {
            throw .unauthorized("the token's claims are malformed")
        }
        return Caller(user: user, role: role, expires: Double(claims.exp))
    }

    /// The newest key that had time to spread, else the oldest.
    private func signingKeyID() -> String? {
        let settled = node.wall() - Self.settleTime
        let ordered = known.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
        return ordered.last { $0.value <= settled }?.key ?? ordered.first?.key
    }

    private func refresh() async {
        let now = node.wall()
        if let lastRefresh, !known.isEmpty, abs(now - lastRefresh) < Self.refreshInterval { return }
        lastRefresh = now
        let found = known.isEmpty ? await node.signingKeys() : await node.refreshSigningKeys()
        // An answer without keys is no news: what was signed stays signed.
        guard !found.isEmpty else { return }
        let fresh = JWTKeyCollection()
        for key in found {
            await fresh.add(
                hmac: HMACKey(from: Data(key.secret.readableBytesView)), digestAlgorithm: .sha256,
                kid: JWKIdentifier(string: key.id))
        }
        keys = fresh
        known = Dictionary(found.map { ($0.id, $0.createdAt) }, uniquingKeysWith: min)
    }

    private static func header(_ part: ArraySlice<UInt8>) -> TokenHeader? {
        guard let json = Base64URL.decode(part) else { return nil }
        return try? JSONDecoder().decode(TokenHeader.self, from: json)
    }
}
