internal import Foundation
package import RoostModel

/// What a username may be, and when two are the same: compared after Unicode normalisation (NFKC, UAX #15) and case
/// folding, so that a name is one key in one partition whatever keyboard wrote it.
package enum UsernameRules {
    /// Characters of a folded name.
    package static let maxLength = 64

    /// The name as a key; nil where it may not be a name: empty or longer than 64 characters, with control or
    /// invisible format characters or outer white space, or in the shape of a UUID (which would read as a user id).
    package static func fold(_ name: String) -> String? {
        // A name much longer than allowed is not worth the normalisation.
        guard name.utf8.count <= maxLength * 16 else { return nil }
        let folded = name.precomposedStringWithCompatibilityMapping
            .folding(options: .caseInsensitive, locale: nil)
            .precomposedStringWithCompatibilityMapping
        guard (1...maxLength).contains(folded.count), folded.unicodeScalars.count <= maxLength * 4 else { return nil }
        guard folded == folded.trimmingCharacters(in: .whitespacesAndNewlines) else { return nil }
        guard folded.unicodeScalars.allSatisfy({ isPrintable($0) }) else { return nil }
        guard UUID128(folded) == nil else { return nil }
        return folded
    }

    @Sendable
    package static func userID(of name: String) -> UserID? {
        fold(name).map { UserID(foldedUsername: $0) }
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }
}
