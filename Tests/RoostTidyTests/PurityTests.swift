import Testing

/// The modules that decide: the same state and the same input give the same output, on every machine.
@Suite struct PurityTests {
    static let pure = ["RoostModel", "RoostProtocol", "RoostCluster", "RoostConsensus"]
    private static let files = SourceTree.sources.filter { pure.contains($0.module) }

    @Test(arguments: [
        (#"\bTask\b(\.|\s*\{|\s*\()"#, "a task"),
        (#"\bawait\b|\basync\b"#, "asynchronous code"),
        (#"\bactor\s+\w"#, "an actor"),
        (#"\b(Thread|DispatchQueue|DispatchTime|Mutex|NSLock)\b"#, "a thread or a lock"),
        (#"\b(ContinuousClock|SuspendingClock|NIODeadline|clock_gettime|gettimeofday)\b"#, "a clock"),
        (#"\bDate\(\)|Date\.now\b"#, "the wall clock"),
        (#"\bUUID\(\)"#, "a random UUID"),
        (#"\bSystemRandomNumberGenerator\b"#, "randomness that is not passed in"),
        (#"\b(print|debugPrint|readLine|FileHandle|FileManager)\b\s*[(.]"#, "input or output"),
    ])
    func hasNo(_ pattern: String, _ what: String) throws {
        for file in Self.files {
            for place in try file.places(pattern) { Issue.record("\(place): \(what) in a pure module") }
        }
    }

    @Test func randomnessIsPassedIn() throws {
        for file in Self.files {
            let found =
                try file.places(#"\.random\((?!.*using:)"#) + file.places(#"\.(shuffled|shuffle|randomElement)\(\)"#)
            for place in found { Issue.record("\(place): randomness without a generator") }
        }
    }

    /// `Hasher` is seeded anew in every process.
    @Test func hashesAreStable() throws {
        for file in Self.files {
            for place in try file.places(#"\bHasher\(\)|\.hashValue\b"#) {
                Issue.record("\(place): another value in each process; `StableHash` is the same everywhere")
            }
        }
    }
}
