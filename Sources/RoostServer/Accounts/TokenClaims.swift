internal import JWTKit

/// What a token says (RFC 7519).
struct TokenClaims: JWTPayload, Equatable {
    var iss: String
    /// The cluster's name.
    var aud: String
    /// The user id.
    var sub: String
    /// UNIX seconds.
    var iat: Int
    /// UNIX seconds.
    var exp: Int
    /// A UUID.
    var jti: String
    /// The account's generation: what is revoked later has a higher one.
    var gen: UInt64
    var role: String
    /// The device that logged in, where it said so: the token speaks for no other.
    var device: String?

    enum CodingKeys: String, CodingKey {
        case iss, aud, sub, iat, exp, jti, gen, role
        case device = "device_id"
    }

    /// The claims are checked by `TokenAuthority`, which knows the time and the cluster.
    func verify(using algorithm: some JWTAlgorithm) async throws {}
}

/// The part of a token's header that is looked at before any key is chosen.
struct TokenHeader: Decodable {
    /// Explicit, so that nothing else that these keys may come to sign is taken for an access token (RFC 8725, 3.11).
    static let type = "at+jwt"

    var alg: String
    var kid: String
    var typ: String
    /// Extensions that must be understood (RFC 7515, section 4.1.11): there are none.
    var crit: [String]?
}
