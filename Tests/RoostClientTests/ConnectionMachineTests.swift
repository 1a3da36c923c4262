import RoostModel
import RoostProtocol
import Testing

@testable import RoostClient

@Suite struct ConnectionMachineTests {
    @Test func connectsAndTellsWhere() {
        var harness = MachineHarness()
        #expect(harness.feed(.start) == [.dial(server: 0)])
        #expect(harness.feed(.connected) == [])
        #expect(harness.machine.deadline == 11_000)
        harness.feed(.received(MachineHarness.welcome))
        #expect(harness.notices == [.connected(node: "node-1", user: UserID(.zero))])
        #expect(harness.machine.deadline == 1_000 + 65_000)
    }

    @Test(arguments: [nil, 1000, 1001, 1006, 1011, 1012, 1013, 4408, 4999] as [UInt16?])
    func goesOnWithAnotherNode(_ code: UInt16?) throws {
        var harness = MachineHarness()
        harness.open()
        #expect(harness.feed(.closed(code: code, reason: "")) == [])
        let delay = try #require(harness.retryIn)
        #expect((50...200).contains(delay))
        #expect(harness.machine.deadline == harness.now + UInt64(delay))
        harness.now += UInt64(delay)
        let dialled = harness.feed(.wake)
        #expect(dialled == [.dial(server: 1)] || dialled == [.dial(server: 2)])
    }

    /// Clients of a node that drains do not all go to the same other; each tries every node before one again.
    @Test func thoseWhoLeaveOneNodeSpread() {
        var first: [Int: Int] = [:]
        for seed in 0..<200 as Range<UInt64> {
            var options = SessionOptions()
            options.beginsWithFirstServer = true
            options.serverCount = 5
            var harness = MachineHarness()
            harness.machine = ConnectionMachine(options: options, hasToken: true, random: SeededGenerator(seed: seed))
            harness.open()
            harness.feed(.closed(code: 1012, reason: "this node is draining: connect to another"))
            var tried: [Int] = []
            for _ in 0..<5 {
                harness.now += UInt64(harness.retryIn ?? 0)
                guard case .dial(let server)? = harness.feed(.wake).first else { break }
                tried.append(server)
                harness.feed(.dialFailed(.refused(status: 503, body: "", retryAfterSeconds: 2)))
                #expect((2_000...3_000).contains(harness.retryIn ?? 0), "the server says when")
            }
            #expect(tried.sorted() == [0, 1, 2, 3, 4] && tried.last == 0, "\(tried)")
            first[tried[0], default: 0] += 1
        }
        #expect(first.keys.sorted() == [1, 2, 3, 4] && first.values.allSatisfy { $0 > 25 }, "\(first)")
    }

    /// On each connection, and again where the server could not look it up.
    @Test func subscribesOnEachConnection() throws {
        func list(_ actions: [ConnectionMachine.Action]) -> ClientSubscription? {
            for case .write(let frame) in actions {
                if case .subscribe(let list)? = try? ClientFrame(parsing: frame, contentLimit: 0) { return list }
            }
            return nil
        }
        let users = [UserID(UUID128(high: 1, low: 1)), UserID(UUID128(high: 1, low: 2))]
        var harness = MachineHarness()
        harness.feed(.watch(users))
        harness.open()
        let first = try #require(list(harness.actions))
        #expect(first.users == users)
        harness.feed(
            .received(
                .error(
                    ServerError(
                        codeText: "unavailable", detail: "", retryable: true, retryAfterMilliseconds: 700,
                        id: first.id))))
        #expect(harness.notices.isEmpty)
        harness.now = try #require(harness.machine.deadline)
        let second = try #require(list(harness.feed(.wake)))
        #expect(second.users == users && second.id != first.id)
        harness.feed(.received(.subscribed(SubscribedFrame(id: second.id, refused: [users[1]]))))
        #expect(harness.notices == [.presenceRefused([users[1]])])
        let online = PresenceFrame(user: users[0], status: .online)
        #expect(harness.feed(.received(.presence(online))) == [.tell(online)])
        harness.feed(.closed(code: 1012, reason: ""))
        harness.open()
        let third = try #require(list(harness.actions))
        #expect(third.users == users)
        harness.feed(.received(.subscribed(SubscribedFrame(id: third.id, refused: [users[1]]))))
        #expect(harness.feed(.received(.presence(online))) == [], "nothing has changed")
        let offline = PresenceFrame(user: users[0], status: .offline(lastSeen: 5))
        #expect(harness.feed(.received(.presence(offline))) == [.tell(offline)])
        #expect(harness.machine.watched.known == [users[0]: .offline(lastSeen: 5)])
        // Somebody else's error is told as before.
        harness.refuse(nil, "invalid_field", retryable: false)
        #expect(harness.notices.count == 1)
    }

    @Test(arguments: [1002, 1003, 1007, 1009, 4409] as [UInt16]) func stops(_ code: UInt16) {
        var harness = MachineHarness(canLogIn: true)
        harness.open()
        harness.send(1)
        harness.feed(.closed(code: code, reason: "x"))
        #expect(harness.machine.isStopped)
        let expected: RoostError.Code = code == 4409 ? .replaced : .protocol
        guard case .finish(let error)? = harness.decisions.last else { return #expect(Bool(false), "not finished") }
        #expect(error?.code == expected)
        // Nobody waits for an answer that can't come.
        #expect(harness.decisions.contains { if case .answer(_, .failure) = $0 { true } else { false } })
        #expect(harness.feed(.wake) == [])
        #expect(harness.machine.deadline == nil)
    }

    @Test func tooManyMeansLater() throws {
        var harness = MachineHarness()
        harness.open()
        harness.feed(.closed(code: 4429, reason: ""))
        #expect((5_000...20_000).contains(try #require(harness.retryIn)))
        harness.now += 20_000
        harness.feed(.wake)
        harness.feed(.dialFailed(.refused(status: 429, body: "", retryAfterSeconds: 60)))
        #expect((60_000...90_000).contains(try #require(harness.retryIn)))
    }

    @Test func anExpiredTokenIsRenewedWhereThatIsPossible() {
        var harness = MachineHarness(canLogIn: true)
        harness.open()
        #expect(harness.feed(.closed(code: 4401, reason: "expired")) == [.login])
        #expect(harness.feed(.loggedIn) == [.dial(server: 0)])

        var without = MachineHarness(canLogIn: false)
        without.open()
        without.feed(.closed(code: 4401, reason: "expired"))
        guard case .finish(let error)? = without.decisions.last else { return #expect(Bool(false), "not finished") }
        #expect(error?.code == .unauthorized)
    }

    @Test func aTokenIsReplacedBeforeItExpires() {
        var harness = MachineHarness(canLogIn: true)
        harness.open()
        let expiring = ServerFrame.tokenExpiring(TokenExpiringFrame(expiresAt: 9, expiresIn: 60_000))
        #expect(harness.feed(.received(expiring)) == [.renew])
        guard case .write(let frame)? = harness.feed(.renewed(token: "fresh")).first,
            case .token(let sent)? = try? ClientFrame(parsing: frame, contentLimit: 100)
        else { return #expect(Bool(false), "no frame") }
        #expect(sent.token == "fresh" && sent.id != nil)
        harness.feed(.closed(code: 1012, reason: ""))
        #expect(harness.feed(.renewed(token: "late")).isEmpty)

        var without = MachineHarness(canLogIn: false)
        without.open()
        #expect(without.feed(.received(expiring)).isEmpty)
    }

    @Test func loginsThatDoNotHelpEnd() {
        var harness = MachineHarness(canLogIn: true, hasToken: false)
        #expect(harness.feed(.start) == [.login])
        for _ in 0..<2 {
            harness.feed(.loggedIn)
            #expect(harness.feed(.dialFailed(.refused(status: 401, body: "", retryAfterSeconds: nil))) == [.login])
        }
        harness.feed(.loggedIn)
        harness.feed(.dialFailed(.refused(status: 401, body: "", retryAfterSeconds: nil)))
        #expect(harness.machine.isStopped)
    }

    @Test func aLoginThatNobodyAnswersIsTriedAgain() {
        var harness = MachineHarness(canLogIn: true, hasToken: false)
        harness.feed(.start)
        harness.feed(.loginFailed(RoostError(.unreachable, "x", retryable: true)))
        #expect(harness.retryIn != nil)
        #expect(!harness.machine.isStopped)
        harness.feed(.stop)
        var wrong = MachineHarness(canLogIn: true, hasToken: false)
        wrong.feed(.start)
        wrong.feed(.loginFailed(RoostError(.unauthorized, "wrong password")))
        #expect(wrong.machine.isStopped)
    }

    @Test func delaysGrowToTheirBoundAndBeginAnewAfterALastingSession() throws {
        var harness = MachineHarness()
        harness.feed(.start)
        var longest = 0
        for _ in 0..<40 {
            harness.feed(.dialFailed(.unreachable("refused")))
            let delay = try #require(harness.retryIn)
            #expect(delay <= 10_000)
            longest = max(longest, delay)
            harness.now += UInt64(delay)
            harness.feed(.wake)
        }
        #expect(longest > 3_000)
        harness.feed(.connected)
        harness.feed(.received(MachineHarness.welcome))
        harness.now += 5_000
        harness.feed(.closed(code: nil, reason: ""))
        #expect(try #require(harness.retryIn) <= 200)
    }

    @Test func aRefusalOfTheRequestEnds() {
        var harness = MachineHarness()
        harness.feed(.start)
        let body = #"{"title":"Forbidden","code":"forbidden","detail":"not your user id"}"#
        harness.feed(.dialFailed(.refused(status: 403, body: body, retryAfterSeconds: nil)))
        guard case .finish(let error)? = harness.decisions.last else { return #expect(Bool(false), "not finished") }
        #expect(error?.detail == "not your user id")
        #expect(error?.status == 403)
    }

    @Test func silenceEndsAConnection() {
        var harness = MachineHarness()
        harness.open()
        harness.now += 64_999
        #expect(harness.feed(.wake) == [])
        harness.feed(.heard)
        harness.now += 65_000
        #expect(harness.feed(.wake) == [.hangUp(code: 1000, reason: "nothing was heard from the server")])
        #expect(harness.retryIn != nil)
    }

    @Test func aServerWithoutWelcomeIsLeft() {
        var harness = MachineHarness()
        harness.feed(.start)
        harness.feed(.connected)
        harness.now += 10_000
        #expect(harness.feed(.wake) == [.hangUp(code: 1000, reason: "no welcome in time")])
    }

    @Test func stoppingAcknowledgesAndHangsUp() {
        var harness = MachineHarness()
        harness.open()
        harness.message(1, seq: 1)
        #expect(harness.take() == 1)
        #expect(harness.take() == nil)
        harness.feed(.stop)
        #expect(harness.acks == [1])
        #expect(harness.decisions.contains(.hangUp(code: 1000, reason: "")))
        #expect(harness.decisions.last == .finish(nil))
        harness.send(1)
        guard case .answer(_, .failure(let error))? = harness.decisions.first else {
            return #expect(Bool(false), "not answered")
        }
        #expect(error.code == .closed)
    }
}
