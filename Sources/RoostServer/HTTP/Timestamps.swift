/// Times as the API writes them.
package enum Timestamps {
    /// Seconds as microseconds, to the nearest; nil outside the years that fit.
    package static func microseconds(_ seconds: Double) -> Int64? {
        let scaled = (seconds * 1_000_000).rounded()
        guard scaled.isFinite, abs(scaled) < 9e15 else { return nil }
        return Int64(scaled)
    }

    /// RFC 3339 in UTC, with microseconds.
    package static func rfc3339(_ microseconds: Int64) -> String {
        let day: Int64 = 86_400_000_000
        var days = microseconds / day
        var rest = microseconds % day
        if rest < 0 {
            rest += day
            days -= 1
        }
        let (year, month, dayOfMonth) = civil(days: days)
        let second = rest / 1_000_000
        return "\(pad(year, 4))-\(pad(month, 2))-\(pad(dayOfMonth, 2))T\(pad(second / 3600, 2)):"
            + "\(pad(second / 60 % 60, 2)):\(pad(second % 60, 2)).\(pad(rest % 1_000_000, 6))Z"
    }

    /// The proleptic Gregorian date, `days` after 1970-01-01 (eras of 400 years, years from March).
    private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let fromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * fromMarch + 2) / 5 + 1
        let month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func pad(_ number: Int64, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }
}
