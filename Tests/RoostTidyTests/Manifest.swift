import Foundation

/// The targets of `Package.swift` with what they declare, read as text: whatever form it takes, the tests that use it fail
/// where a target is not found.
enum Manifest {
    struct Target {
        var name: String
        /// Of other packages; their modules have the same names.
        var products: Set<String>
        /// Of this package.
        var targets: Set<String>
    }

    static func targets() throws -> [Target] {
        let text = try SourceTree.text("Package.swift")
        var variables: [String: String] = [:]
        for match in text.matches(of: /let (\w+): Target\.Dependency = \.product\(name: "(\w+)"/) {
            variables[String(match.1)] = String(match.2)
        }
        let starts = text.matches(of: /\.(target|executableTarget|testTarget)\(\s*name: "(\w+)"/)
        return starts.enumerated().map { number, start in
            let end = number + 1 < starts.count ? starts[number + 1].range.lowerBound : text.endIndex
            var body = String(text[start.range.upperBound..<end])
            if let list = body.firstMatch(of: /dependencies: \[([^\]]*)\]/) {
                body = String(list.1)
            } else {
                body = ""
            }
            var target = Target(name: String(start.2), products: [], targets: [])
            for match in body.matches(of: /\.product\(name: "(\w+)"/) { target.products.insert(String(match.1)) }
            body = body.replacing(/\.product\([^)]*\)/, with: "")
            for match in body.matches(of: /"(\w+)"/) { target.targets.insert(String(match.1)) }
            for word in body.split(whereSeparator: { !$0.isLetter && !$0.isNumber }) {
                if let product = variables[String(word)] { target.products.insert(product) }
            }
            return target
        }
    }
}
