/// An object of the file with the path that leads to it. Keys are taken one by one; what is left at `finish()` is
/// unknown.
struct ConfigSection {
    let path: String
    private var members: [ConfigValue.Member]

    init(_ value: ConfigValue, path: String) throws(ConfigError) {
        guard case .object(let members) = value else {
            throw ConfigError(path: path.isEmpty ? "cluster.json" : path, reason: "must be an object, is \(value.kind)")
        }
        self.path = path
        self.members = members
    }

    func keyPath(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    func failure(_ key: String, _ reason: String) -> ConfigError { ConfigError(path: keyPath(key), reason: reason) }

    mutating func take(_ key: String) -> ConfigValue? {
        guard let index = members.firstIndex(where: { $0.key == key }) else { return nil }
        return members.remove(at: index).value
    }

    mutating func require(_ key: String) throws(ConfigError) -> ConfigValue {
        guard let value = take(key) else { throw failure(key, "is missing") }
        return value
    }

    mutating func string(_ key: String) throws(ConfigError) -> String {
        let value = try require(key)
        guard case .string(let text) = value else { throw failure(key, "must be a string, is \(value.kind)") }
        return text
    }

    mutating func optionalString(_ key: String) throws(ConfigError) -> String? {
        guard let value = take(key) else { return nil }
        guard case .string(let text) = value else { throw failure(key, "must be a string, is \(value.kind)") }
        return text
    }

    mutating func integer(_ key: String, in range: ClosedRange<Int>) throws(ConfigError) -> Int {
        try check(try require(key), key, range)
    }

    mutating func optionalInteger(_ key: String, in range: ClosedRange<Int>) throws(ConfigError) -> Int? {
        guard let value = take(key) else { return nil }
        return try check(value, key, range)
    }

    private func check(_ value: ConfigValue, _ key: String, _ range: ClosedRange<Int>) throws(ConfigError) -> Int {
        guard case .integer(let number) = value else {
            if case .number = value { throw failure(key, "must be a whole number") }
            throw failure(key, "must be a number, is \(value.kind)")
        }
        guard range.contains(number) else {
            throw failure(key, "\(number) is not within \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// Every key must have been taken by now.
    func finish() throws(ConfigError) {
        if let left = members.first { throw failure(left.key, "unknown key") }
    }
}
