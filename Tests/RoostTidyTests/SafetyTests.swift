import Testing

/// What ends a process, hides a race or grows without a bound needs a reason that stands here.
@Suite struct SafetyTests {
    private func report(_ pattern: String, _ rule: String, in files: [SourceFile], except allowed: [Allowed] = [])
        throws
    {
        let found = try files.flatMap { try $0.places(pattern) }
        for place in found.except(allowed) { Issue.record("\(place): \(rule)") }
        for entry in allowed where !found.contains(where: { entry.covers($0) }) {
            Issue.record("\(entry.path): the exception for \"\(entry.code)\" is not needed any more")
        }
    }

    @Test func noForcedTry() throws {
        try report(#"\btry!"#, "a forced try", in: SourceTree.sources + SourceTree.tests)
    }

    @Test func noForcedUnwrap() throws {
        try report(#"[\w)\]]!(?=[\s.,;:?(\[)\]}]|$)"#, "a forced unwrap or cast", in: SourceTree.sources)
    }

    @Test func noDeliberateCrash() throws {
        try report(
            #"\b(fatalError|precondition|preconditionFailure|assertionFailure)\("#, "ends the process",
            in: SourceTree.sources,
            except: [
                Allowed(
                    "Sources/RoostSimulation/SimulationExecutor.swift", "precondition(running",
                    because: "a simulation entered from another thread is a broken test, not a run"),
                Allowed(
                    "Sources/RoostSimulation/SimulationExecutor.swift", "precondition(stepsOfInstant",
                    because: "a run that goes in circles would never end; its seed is told as failed"),
            ])
    }

    @Test func uncheckedSendingIsExplained() throws {
        for file in SourceTree.sources {
            let found = try file.places(#"@unchecked\s+Sendable|nonisolated\(unsafe\)|@preconcurrency"#)
            for place in found where !file.isExplained(place.line, within: 3) {
                Issue.record("\(place): says not why that is safe")
            }
        }
    }

    /// A task of its own has no order and no parent: what it does must need neither.
    @Test func noLooseTasks() throws {
        try report(
            #"\bTask(\.detached)?(\(.*\))?\s*\{"#, "a task that nobody waits for", in: SourceTree.sources,
            except: [
                Allowed(
                    "Sources/RoostServer/HTTP/HTTPExchangeHandler.swift", "Task {",
                    because: "one a connection at most; its socket is not read until it has answered"),
                Allowed(
                    "Sources/RoostServer/API/WebSocketAdmission.swift", "Task {",
                    because: "one a session at most; its end is an event of the session"),
                Allowed(
                    "Sources/RoostServer/Run/NodeRunner.swift", "Task {",
                    because: "a node that never comes to serve must not keep the process from ending"),
                Allowed(
                    "Sources/RoostClient/Session/RoostSession.swift", "Task {",
                    because: "one login at a time; its end is an event of the session"),
                Allowed(
                    "Sources/RoostSimulation/SimulationCluster.swift", "Task(executorPreference:",
                    because: "runs on the simulation's own executor"),
            ])
    }

    @Test func streamsAreBounded() throws {
        let bounded = #"(?!.*bufferingPolicy: *\.buffering(Oldest|Newest))"#
        let rule = "a stream without a bound"
        try report(#"Async(Throwing)?Stream(<[^>]*>)?(\.makeStream)?\("# + bounded, rule, in: SourceTree.sources)
        try report(#"(^|=|return|\()\s*Async(Throwing)?Stream(<[^>]*>)?\s*\{"#, rule, in: SourceTree.sources)
    }

    @Test func filesAreShort() {
        for file in SourceTree.sources + SourceTree.tests where file.code.count > 600 {
            Issue.record("\(file.path): \(file.code.count) lines; a file is about one thing")
        }
    }

    @Test func nothingIsLeftToDo() {
        for file in SourceTree.sources + SourceTree.tests where file.path != "Tests/RoostTidyTests/SafetyTests.swift" {
            for (index, comment) in file.comments.enumerated()
            where comment.contains("TODO") || comment.contains("FIXME") || comment.contains("XXX") {
                Issue.record("\(file.path):\(index + 1): \(comment)")
            }
        }
    }
}
