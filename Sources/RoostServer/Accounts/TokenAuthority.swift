internal import Foundation
internal import JWTKit
internal import NIOCore
package import RoostModel
package import RoostNode
package import RoostProtocol

/// Signs and checks access tokens: JWT as RFC 8725 would have it, HS256 and nothing else, by the cluster's signing keys.
package actor TokenAuthority {
    package static let issuer = "roost"
    /// Bytes.
    package static let maxTokenLength = ClientToken.maxLength
    /// Partition 0 is asked for an unknown key at most once in this time, microseconds.
    private static let refreshInterval: Int64 = 1_000_000
    /// What this node has come to know of the keys is taken over at least so often, microseconds.
    private static let syncInterval: Int64 = 250_000
    /// Seconds by which the clock of the node that issued a token may be ahead.
    private static let maxAhead: Int64 = 300

    package struct Issued: Sendable {
        package var token: String
        package var expiresIn: Int
    }

    private let node: any NodeService
    private let audience: String
    private let lifetimeSeconds: Int
    private var keys = JWTKeyCollection()
    private var known: [SigningKey] = []
    private var lastRefresh: Int64?
    private var lastSync: Int64?

    package init(node: any NodeService) {
        self.node = node
        audience = node.configuration.cluster
        lifetimeSeconds = node.configuration.security.tokenLifetimeSeconds
    }

    /// - Parameters:
    ///   - account: as its partition's leader has it: what was revoked before is revoked.
    ///   - device: which the token is for alone, where it is for one.
    package func issue(
        to account: AccountRecord, role: AccountRole, device: DeviceID? = nil
    ) async throws -> Issued {
        await sync(always: true)
        if known.isEmpty { _ = await refresh() }
        guard let key = signingKey() else { throw Problem.unavailable("the cluster has no signing key yet") }
        let now = Int(node.wall() / 1_000_000)
        let claims = TokenClaims(
            iss: Self.issuer, aud: audience, sub: account.user.description, iat: now, exp: now + lifetimeSeconds,
            jti: await node.makeUUID().description, gen: account.revocations.generation, role: role.name,
            device: device?.text)
        var header = JWTHeader()
        header.typ = TokenHeader.type
        return Issued(
            token: try await keys.sign(claims, kid: JWKIdentifier(string: key.id), header: header),
            expiresIn: lifetimeSeconds)
    }

    /// Whether the account still takes it is for `AccountGate` and the user's partition to say.
    /// - Throws: 401, or 503 where the keys cannot be had.
    package func verify(_ token: String) async throws(Problem) -> Caller {
        let bytes = Array(token.utf8)
        guard bytes.count <= Self.maxTokenLength else { throw .unauthorized("the token is too long") }
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Self.header(parts[0]) else {
            throw .unauthorized("this is not a token")
        }
        guard header.alg == "HS256", header.typ.lowercased() == TokenHeader.type, header.crit == nil else {
            throw .unauthorized("the token is not signed as this cluster signs")
        }
        try await require(header.kid)
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
        let now = node.wall() / 1_000_000
        guard Int64(claims.exp) > now else { throw .unauthorized("the token has expired") }
        guard Int64(claims.iat) <= now + Self.maxAhead, claims.iat < claims.exp else {
            throw .unauthorized("the token is not valid yet")
        }
        guard let user = UserID(claims.sub), let role = AccountRole(name: claims.role), let id = UUID128(claims.jti)
        else { throw .unauthorized("the token's claims are malformed") }
        var device: DeviceID?
        if let name = claims.device {
            guard let known = DeviceID(name) else { throw .unauthorized("the token's claims are malformed") }
            device = known
        }
        return Caller(
            user: user, role: role, device: device,
            token: TokenStamp(id: id, generation: claims.gen, expires: Int64(claims.exp)), issued: Double(claims.iat))
    }

    // MARK: Keys

    /// The one that became active last, else the oldest.
    private func signingKey() -> SigningKey? {
        SigningKey.signing(among: known) ?? known.min { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
    }

    /// What is not known here is looked up where keys are made, before a token is refused.
    private func require(_ kid: String) async throws(Problem) {
        await sync(always: false)
        if isKnown(kid) { return }
        await sync(always: true)
        if isKnown(kid) { return }
        guard await refresh() else { throw .unavailable("the signing keys cannot be read") }
        guard isKnown(kid) else { throw .unauthorized("the token's key is unknown") }
    }

    private func isKnown(_ kid: String) -> Bool { known.contains { $0.id == kid } }

    /// Takes over what this node knows, which is told of new keys before they sign, and of those that are removed.
    private func sync(always: Bool) async {
        let now = node.wall()
        if !always, let lastSync, abs(now - lastSync) < Self.syncInterval { return }
        lastSync = now
        await take(await node.signingKeys())
    }

    /// False where nobody could be asked.
    private func refresh() async -> Bool {
        let now = node.wall()
        if let lastRefresh, !known.isEmpty, abs(now - lastRefresh) < Self.refreshInterval { return true }
        guard let found = await node.refreshSigningKeys() else { return false }
        lastRefresh = now
        await take(found)
        return !known.isEmpty
    }

    private func take(_ found: [SigningKey]) async {
        // An answer without keys is no news: what was signed stays signed.
        guard !found.isEmpty, found != known else { return }
        let fresh = JWTKeyCollection()
        for key in found {
            await fresh.add(
                hmac: HMACKey(from: Data(key.secret.readableBytesView)), digestAlgorithm: .sha256,
                kid: JWKIdentifier(string: key.id))
        }
        keys = fresh
        known = found
    }

    private static func header(_ part: ArraySlice<UInt8>) -> TokenHeader? {
        guard let json = Base64URL.decode(part) else { return nil }
        return try? JSONDecoder().decode(TokenHeader.self, from: json)
    }
}
