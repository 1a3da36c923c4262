import Foundation
import Testing

/// What the fuzzer found worth keeping: an input for each way through the decoders, and each that once did harm.
@Suite("Corpus of the fuzzer")
struct CorpusTests {
    /// An input a line, in hex.
    private static let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fuzz/corpus.txt")

    @Test("Every kept input is taken or refused as it should be")
    func everyInput() throws {
        let lines = try String(contentsOf: Self.file, encoding: .utf8).split(separator: "\n")
        #expect(lines.count > 100)
        var surfaces: Set<FuzzedInput.Surface> = []
        for line in lines {
            let input = try #require(bytes(line), "\(line)")
            if let surface = input.first.flatMap(FuzzedInput.Surface.init(_:)) { surfaces.insert(surface) }
            if let flaw = FuzzedInput.flaw(in: input) { Issue.record("\(line): \(flaw)") }
        }
        #expect(surfaces.count == FuzzedInput.Surface.allCases.count)
    }

    private func bytes(_ hex: Substring) -> [UInt8]? {
        let digits = hex.compactMap { $0.hexDigitValue.map { UInt8($0) } }
        guard digits.count == hex.utf8.count, digits.count.isMultiple(of: 2) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}
