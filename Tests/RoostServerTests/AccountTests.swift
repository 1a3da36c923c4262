import RoostModel
import Testing

@testable import RoostServer

@Suite struct UsernameRulesTests {
    @Test func namesThatAreTheSameFoldToTheSame() {
        let pairs = [
            ("Alice", "aLICE"), ("Straße", "STRASSE"), ("A\u{30a}ngström", "ångstro\u{308}m"), ("ﬁsch", "FISCH"),
            ("ＢＯＢ", "bob"), ("ΣΊΣΥΦΟΣ", "σίσυφος"), ("Ⅷ", "viii"),
        ]
        for (a, b) in pairs {
            #expect(UsernameRules.fold(a) != nil)
            #expect(UsernameRules.fold(a) == UsernameRules.fold(b), "\(a) and \(b)")
            #expect(UsernameRules.userID(of: a) == UsernameRules.userID(of: b))
        }
        #expect(UsernameRules.fold("alice") != UsernameRules.fold("alicé"))
        #expect(UsernameRules.fold("ı") != UsernameRules.fold("i"))
    }

    @Test func foldingTwiceChangesNothing() {
        for name in ["Straße", "ﬁ", "Ǆ", "ŉ", "İ", "a b", "日本語", "👩‍👩‍👧"] {
            guard let folded = UsernameRules.fold(name) else { continue }
            #expect(UsernameRules.fold(folded) == folded)
        }
    }

    @Test(arguments: [
        "", " ", " alice", "alice ", "a\u{0}b", "a\nb", "a\u{200b}b", "a\u{202e}b", "\u{feff}x",
        "183851d1-5e40-56cd-99d1-e435bd09f7bc", "183851D1-5E40-56CD-99D1-E435BD09F7BC",
        String(repeating: "a", count: 65), String(repeating: "a", count: 5_000),
    ])
    func namesThatMayNotBe(_ name: String) {
        #expect(UsernameRules.fold(name) == nil)
    }

    @Test func theLongestNameMayBe() {
        #expect(UsernameRules.fold(String(repeating: "ä", count: 64)) != nil)
    }
}

@Suite struct PasswordTests {
    @Test func theTextOfAHashReadsBack() throws {
        let hash = try PasswordHash.make(password: "päss", logN: 4, salt: Array(0..<16))
        #expect(hash.description.hasPrefix("scrypt$4$8$1$AAECAwQFBgcICQoLDA0ODw==$"))
        #expect(PasswordHash(hash.description) == hash)
        #expect(try hash.matches("päss"))
        #expect(try !hash.matches("pass"))
        #expect(try !hash.matches(""))
    }

    /// The second vector of RFC 7914, section 12, cut to our 32 bytes.
    @Test func scryptIsScrypt() throws {
        let hash = PasswordHash(
            logN: 10, r: 8, p: 16, salt: Array("NaCl".utf8),
            hash: [
                0xfd, 0xba, 0xbe, 0x1c, 0x9d, 0x34, 0x72, 0x00, 0x78, 0x56, 0xe7, 0x19, 0x0d, 0x01, 0xe9, 0xfe, 0x7c,
                0x6a, 0xd7, 0xcb, 0xc8, 0x23, 0x78, 0x30, 0xe7, 0x73, 0x76, 0x63, 0x4b, 0x37, 0x31, 0x62,
            ])
        #expect(try hash.matches("password"))
    }

    @Test(arguments: [
        "", "x", "scrypt$4$8$1$AAAA", "bcrypt$4$8$1$AAAA$AAAA", "scrypt$40$8$1$AAAA$AAAA",
        "scrypt$14$8$1$AAAA$AAAA", "scrypt$14$8$1$$", "scrypt$-1$8$1$AAAA$AAAA",
    ])
    func otherTextsAreNoHashes(_ text: String) {
        #expect(PasswordHash(text) == nil)
    }

    @Test func everyHashHasItsOwnSalt() async throws {
        let hasher = PasswordHasher(logN: 4, threads: 1, maxQueued: 4)
        let (a, b) = (try await hasher.hash("x"), try await hasher.hash("x"))
        #expect(a != b)
        #expect(try await hasher.verify("x", against: a))
        #expect(try await !hasher.verify("y", against: a))
        #expect(try await !hasher.verify("x", against: nil))
        #expect(try await !hasher.verify("x", against: "damaged"))
        await hasher.stop()
    }

    @Test func aFullQueueRefuses() async throws {
        let hasher = PasswordHasher(logN: 4, threads: 1, maxQueued: 0)
        await #expect(throws: PasswordHasher.Busy.self) { try await hasher.hash("x") }
        await hasher.stop()
    }

    @Test func comparingLooksAtEveryByte() {
        #expect(ConstantTime.equal([1, 2, 3], [1, 2, 3]))
        #expect(!ConstantTime.equal([1, 2, 3], [1, 2, 4]))
        #expect(!ConstantTime.equal([1, 2, 3], [0, 2, 3]))
        #expect(!ConstantTime.equal([1, 2, 3], [1, 2]))
        #expect(ConstantTime.equal([UInt8](), []))
    }
}
