internal import Foundation
internal import NIOCore
internal import RoostClient
internal import RoostModel
internal import RoostProtocol

/// A session on a terminal or in a pipe: lines in, messages out.
struct SessionTerminal {
    /// Lines read and not yet answered; above it the input waits.
    private static let maxOpenLines = 128
    /// Without a first connection for so long, there is nobody to talk to.
    private static let connectSeconds = 5.0

    let session: RoostSession
    let printer: MessagePrinter
    let showsMessages: Bool
    /// Whose coming and going is printed, with their names.
    let watched: [UserID: String]
    let target: SendTarget?
    let stays: Bool
    /// From the end of the input to the end, at most.
    let lastSeconds: Double

    /// Until the input ends, or the session can't go on. True where a send failed.
    func run() async throws -> Bool {
        try await withThrowingTaskGroup(of: Bool?.self) { group in
            let state = TerminalState()
            group.addTask {
                try await printMessages()
                // The session was closed from here.
                return nil
            }
            group.addTask { try await watch(state) }
            if !watched.isEmpty {
                await session.watch(watched.keys.sorted())
                group.addTask {
                    await printPresence()
                    return nil
                }
            }
            group.addTask {
                let failed = await sendLines(state)
                if stays { return nil }
                await waitUntilDone(state)
                await session.close()
                return failed
            }
            var failed = false
            for try await result in group { failed = failed || result ?? false }
            return failed
        }
    }

    private func printMessages() async throws {
        var printer = printer
        for try await message in session.messages where showsMessages { Console.out(printer.line(message)) }
    }

    private func printPresence() async {
        for await change in session.presence where showsMessages {
            let name = watched[change.user] ?? String(change.user.description.prefix(8))
            let now = Int64(Date().timeIntervalSince1970 * 1e6)
            switch change.status {
            case .online: Console.out("\(MessagePrinter.time(now)) \(name) is online")
            case .offline(nil): Console.out("\(MessagePrinter.time(now)) \(name) is offline")
            case .offline(let last?):
                Console.out(
                    "\(MessagePrinter.time(now)) \(name) is offline, last seen \(MessagePrinter.time(last, now: now))")
            }
        }
    }

    /// True where the server found fault with something that was sent.
    private func watch(_ state: TerminalState) async throws -> Bool? {
        let deadline = Date().addingTimeInterval(Self.connectSeconds)
        var wasConnected = false
        var failed = false
        for await notice in session.notices {
            switch notice {
            case .connected(let node, _):
                wasConnected = true
                await state.connected()
                Console.note("connected to \(node)")
            case .caughtUp(let incomplete):
                if !incomplete { await state.caughtUp() }
            case .disconnected(let reason, let delay):
                if !wasConnected, Date().addingTimeInterval(Double(delay) / 1_000) > deadline {
                    await session.close()
                    await state.connected()
                    throw Failure("no server was reached: \(reason)", .unavailable)
                }
                if wasConnected { Console.note("disconnected: \(reason); again in \(delay) ms") }
            case .skipped(let conversation, let from, let to):
                Console.note("retention took \(from) to \(to) of \(conversation)")
            case .presenceRefused(let users):
                let names = users.map { watched[$0] ?? $0.description }.joined(separator: ", ")
                Console.note("not watched, since you share no conversation: \(names)")
            case .serverError(let error):
                failed = true
                Console.error("\(error)")
            case .connecting: break
            }
        }
        // The session has ended: whoever waits for it to begin need not.
        await state.connected()
        return failed
    }

    private func sendLines(_ state: TerminalState) async -> Bool {
        await state.waitUntilConnected()
        // Begun at 0: a semaphore may not be let go below the value that it was made with.
        let gate = DispatchSemaphore(value: 0)
        for _ in 0..<Self.maxOpenLines { gate.signal() }
        return await withTaskGroup(of: Bool.self) { group in
            for await line in LineReader.lines(gate: gate) {
                guard let ticket = await submit(line, state) else {
                    gate.signal()
                    continue
                }
                group.addTask {
                    defer { gate.signal() }
                    do throws(RoostError) {
                        _ = try await ticket.accepted()
                        return false
                    } catch {
                        if error.code != .closed { Console.error(error.description) }
                        return true
                    }
                }
            }
            if !stays { group.addTask { await giveUp() } }
            var failed = false
            for await result in group { failed = failed || result }
            if await state.failed { return true }
            return failed
        }
    }

    /// Closes the session where the answers do not come in time.
    private func giveUp() async -> Bool {
        let deadline = Date().addingTimeInterval(lastSeconds)
        while Date() < deadline, !Task.isCancelled {
            if await session.pendingSends == 0 { return false }
            try? await Task.sleep(for: .milliseconds(20))
        }
        guard await session.pendingSends > 0 else { return false }
        Console.error("\(await session.pendingSends) sends were not answered")
        await session.close()
        return true
    }

    private func submit(_ line: String, _ state: TerminalState) async -> SendTicket? {
        guard !line.isEmpty else { return nil }
        if line.hasPrefix("{") {
            let ticket = await session.submitRaw(ByteBuffer(string: line))
            if ticket == nil { await state.sentRaw() }
            return ticket
        }
        guard let target else {
            Console.error("nobody to send to: --to or --conversation, or type a frame")
            await state.couldNotSend()
            return nil
        }
        var content = ByteBuffer()
        content.writeJSON(string: line)
        return await session.submit(content: content, to: target)
    }

    /// What was unread is printed, and a frame of one's own had time to be answered.
    private func waitUntilDone(_ state: TerminalState) async {
        let deadline = Date().addingTimeInterval(lastSeconds)
        while Date() < deadline {
            if await session.isOver { return }
            if await session.isIdle, await state.isDone { return }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }
}

/// What several tasks of a terminal know of the session.
private actor TerminalState {
    private static let rawAnswerSeconds = 0.5

    private var isConnected = false
    private var isCaughtUp = false
    private(set) var failed = false
    private var lastRaw: Date?
    private var waiting: CheckedContinuation<Void, Never>?

    func connected() {
        isConnected = true
        waiting?.resume()
        waiting = nil
    }
    func caughtUp() { isCaughtUp = true }
    func sentRaw() { lastRaw = Date() }
    func couldNotSend() { failed = true }

    var isDone: Bool {
        isCaughtUp && (lastRaw.map { Date().timeIntervalSince($0) > Self.rawAnswerSeconds } ?? true)
    }

    func waitUntilConnected() async {
        if isConnected { return }
        await withCheckedContinuation { waiting = $0 }
    }
}

/// Standard input, a line at a time, from a thread of its own: reading blocks.
enum LineReader {
    /// - Parameter gate: waited for before each line: it bounds what is read ahead.
    static func lines(gate: DispatchSemaphore) -> AsyncStream<String> {
        AsyncStream(bufferingPolicy: .bufferingOldest(1_024)) { continuation in
            Thread.detachNewThread {
                while let line = readLine() {
                    gate.wait()
                    continuation.yield(line)
                }
                continuation.finish()
            }
        }
    }
}

/// Messages as lines for people.
struct MessagePrinter {
    private let names: @Sendable (UserID) -> String?
    private var cache: [UserID: String] = [:]
    private static let maxCached = 1_000

    init(names: @escaping @Sendable (UserID) -> String?) { self.names = names }

    mutating func line(_ message: Message) -> String {
        let content = Self.harmless(message.text ?? String(buffer: message.content))
        let type = message.type == "text" ? "" : " [\(Self.harmless(message.type))]"
        return "\(Self.time(message.sentAt)) \(name(message.sender))\(type) → \(content)"
    }

    /// What others write must not command the terminal, or look like a line of its own: control characters and those
    /// that turn the direction of writing are shown as escapes.
    static func harmless(_ text: String) -> String {
        var shown = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": shown += "\\n"
            case "\t": shown.unicodeScalars.append(scalar)
            case "\u{202a}"..."\u{202e}", "\u{2066}"..."\u{2069}", "\u{2028}", "\u{2029}":
                shown += "\\u{\(String(scalar.value, radix: 16))}"
            case _ where scalar.properties.generalCategory == .control:
                shown += "\\u{\(String(scalar.value, radix: 16))}"
            default: shown.unicodeScalars.append(scalar)
            }
        }
        return shown
    }

    private mutating func name(_ user: UserID) -> String {
        if let known = cache[user] { return known }
        if cache.count >= Self.maxCached { cache.removeAll() }
        let name = names(user) ?? String(user.description.prefix(8))
        cache[user] = name
        return name
    }

    /// Local time of the day; with the date where `now` is another day.
    static func time(_ microseconds: Int64, now: Int64? = nil) -> String {
        var seconds = time_t(microseconds / 1_000_000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        func pad(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        var day = ""
        if let now {
            var other = time_t(now / 1_000_000)
            var today = tm()
            localtime_r(&other, &today)
            if today.tm_yday != parts.tm_yday || today.tm_year != parts.tm_year {
                day = "\(parts.tm_year + 1_900)-\(pad(parts.tm_mon + 1))-\(pad(parts.tm_mday)) "
            }
        }
        return day + "\(pad(parts.tm_hour)):\(pad(parts.tm_min)):\(pad(parts.tm_sec))"
    }
}
