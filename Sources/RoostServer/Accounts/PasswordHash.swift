internal import Crypto
internal import CryptoExtras
internal import Foundation
internal import RoostModel

/// A password's scrypt hash (RFC 7914) as text: `scrypt$logN$r$p$salt$hash`, salt and hash in base64.
struct PasswordHash: Sendable, Equatable {
    var logN: Int
    var r: Int
    var p: Int
    var salt: [UInt8]
    var hash: [UInt8]

    static let saltBytes = 16
    static let hashBytes = 32

    /// Takes 128 · r · 2^logN bytes of memory and, with logN 14 and r 8, about 40 ms.
    static func make(password: String, logN: Int, salt: [UInt8]) throws -> PasswordHash {
        let hash = try derive(password, logN: logN, r: 8, p: 1, salt: salt)
        return PasswordHash(logN: logN, r: 8, p: 1, salt: salt, hash: hash)
    }

    static func randomSalt() -> [UInt8] {
        SymmetricKey(size: SymmetricKeySize(bitCount: saltBytes * 8)).withUnsafeBytes { Array($0) }
    }

    /// Compares in a time that does not depend on where the two differ.
    func matches(_ password: String) throws -> Bool {
        let derived = try Self.derive(password, logN: logN, r: r, p: p, salt: salt)
        return ConstantTime.equal(derived, hash)
    }

    private static func derive(_ password: String, logN: Int, r: Int, p: Int, salt: [UInt8]) throws -> [UInt8] {
        let key = try KDF.Scrypt.deriveKey(
            from: Array(password.utf8), salt: salt, outputByteCount: hashBytes, rounds: 1 << logN, blockSize: r,
            parallelism: p)
        return key.withUnsafeBytes { Array($0) }
    }
}

extension PasswordHash: LosslessStringConvertible {
    var description: String {
        "scrypt$\(logN)$\(r)$\(p)$\(Data(salt).base64EncodedString())$\(Data(hash).base64EncodedString())"
    }

    /// Nil for anything else, and for parameters that would take the machine away (over 1 GiB).
    init?(_ text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0] == "scrypt",
            let logN = Int(parts[1]), (1...20).contains(logN), let r = Int(parts[2]), (1...8).contains(r),
            let p = Int(parts[3]), (1...16).contains(p),
            let salt = Data(base64Encoded: String(parts[4])), let hash = Data(base64Encoded: String(parts[5])),
            !salt.isEmpty, hash.count == Self.hashBytes
        else { return nil }
        self.init(logN: logN, r: r, p: p, salt: Array(salt), hash: Array(hash))
    }
}
