/// `--since`: UNIX seconds, or "N seconds|minutes|hours|days ago".
enum SinceExpression {
    /// UNIX seconds; nil for anything else. A time before 1970 is 0.
    static func parse(_ text: String, now: Double) -> Double? {
        let words = text.lowercased().split(whereSeparator: \.isWhitespace)
        if words.count == 1, let seconds = Double(words[0]), seconds.isFinite, seconds >= 0 { return seconds }
        guard words.count == 3, words[2] == "ago", let count = Double(words[0]), count.isFinite, count >= 0,
            let unit = unit(words[1])
        else { return nil }
        return max(0, now - count * unit)
    }

    private static func unit(_ word: Substring) -> Double? {
        switch word {
        case "second", "seconds": 1
        case "minute", "minutes": 60
        case "hour", "hours": 3_600
        case "day", "days": 86_400
        default: nil
        }
    }
}
