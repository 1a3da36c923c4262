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
    var role: String

    /// The claims are checked by `TokenAuthority`, which knows the time and the cluster.
    func verify(using algorithm: some JWTAlgorithm) async throws {}
}

/// The part of a token's header that is looked at before any key is chosen.
struct TokenHeader: Decodable {
    var alg: String
    var kid: String
    /// Extensions that must be understood (RFC 7515, section 4.1.11): there are none.
    var crit: [String]?
}
