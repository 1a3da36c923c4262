import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// What operators ask, and how long anybody waits for an answer.
@Suite struct OperatorTests {
    /// Every replica says since when it has a message; one that is away does not answer.
    @Test(arguments: World.seeds(3)) func aMessageIsFoundOnItsReplicas(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 5, replication: 3)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        let partition = world.cluster.partition(of: group)
        let sent = ada.send(to: group, "where is it?")
        #expect(world.run(5_000) { ada.accepted[sent] != nil }, "seed \(seed)")
        world.run(1_000)
        let sentAt = try #require(ada.accepted[sent]).sentAt

        func locate(at node: Node) -> MessageLocation? {
            let answers = world.cluster.await { await node.readAll { _ in .message(sent) } } ?? []
            let found = answers.compactMap { if case .located(let location) = $0 { location } else { nil } }
            #expect(found.count == 1, "seed \(seed)")
            return found.first
        }
        func status(_ location: MessageLocation, of replica: NodeID, at node: Node) -> ReplicaStatus? {
            world.cluster.await {
                await node.within(milliseconds: 1_000) {
                    await node.replicaStatus(of: partition, index: location.index, at: replica)
                }
            } ?? nil
        }
        let leader = try #require(world.cluster.leader(of: partition))
        let asked = try #require(world.cluster.nodeIDs.first { $0 != leader })
        let node = try #require(world.cluster.running[asked]).node
        let location = try #require(locate(at: node))
        #expect(location.leader == leader)
        #expect(location.replicas.count == 3 && location.replicas.allSatisfy(\.isVoter))
        for replica in location.replicas {
            let status = try #require(status(location, of: replica.node, at: node), "seed \(seed): \(replica.node)")
            #expect(status.term == location.term)
            #expect(status.appliedIndex >= location.index && status.lastIndex >= location.index)
            let at = try #require(status.syncedAt)
            #expect(abs(at - sentAt) < 2_000_000, "seed \(seed): synced at \(at), sent at \(sentAt)")
        }
        // What is not there yet.
        var later = location
        later.index += 1_000
        #expect(status(later, of: leader, at: node)?.term == nil)
        // A node without a replica says so, one that is down says nothing.
        let other = try #require(world.cluster.nodeIDs.first { id in !location.replicas.contains { $0.node == id } })
        #expect(status(location, of: other, at: node) == nil)
        let victim = try #require(location.replicas.map(\.node).first { $0 != leader && $0 != asked })
        world.cluster.kill(victim)
        let before = world.cluster.executor.now
        #expect(status(location, of: victim, at: node) == nil)
        #expect(world.cluster.executor.now - before < 1_200_000_000, "seed \(seed)")
        #expect(status(location, of: leader, at: node)?.term == location.term)
    }

    /// Accounts come in pages, of every partition.
    @Test func accountsComeInPages() throws {
        let world = try World(seed: 1)
        let users = try (0..<40).map { try world.user("user-\($0)") }.sorted()
        let node = try #require(world.cluster.running[world.node(1)]).node
        var seen: [UserID] = []
        var after: UserID?
        repeat {
            let start = after
            let answers = world.cluster.await { await node.readAll { _ in .accounts(after: start, limit: 3) } } ?? []
            var page: [UserID] = []
            for answer in answers {
                guard case .accounts(let part) = answer else {
                    Issue.record("\(answer)")
                    continue
                }
                #expect(part.count <= 3)
                page += part.map(\.user)
            }
            let taken = page.sorted().prefix(3)
            seen += taken
            after = taken.last
        } while after != nil && seen.count < 100
        #expect(seen == users)
    }

    /// Without a majority one deadline holds for all that a call asks, one question after the other.
    @Test func oneDeadlineForAllQuestions() throws {
        let world = try World(seed: 2)
        let ada = try world.user("ada")
        world.cluster.kill(world.node(2))
        world.cluster.kill(world.node(3))
        let node = try #require(world.cluster.running[world.node(1)]).node
        let before = world.cluster.executor.now
        let answers = world.cluster.await {
            await node.within(milliseconds: 2_000) {
                [
                    await node.read(.account(ada)), await node.read(.devices(ada)),
                    await node.within(milliseconds: 60_000) { await node.read(.account(ada)) },
                ] + (await node.readAll { _ in .conversations(ada) })
            }
        }
        #expect(answers == Array(repeating: .rejected(.unavailable), count: 7))
        #expect(world.cluster.executor.now - before < 2_500_000_000)
    }

    /// A client that reads nothing costs what fits into its socket's buffer and a little more, however large its window
    /// and the messages; when it reads again, it gets everything, in order.
    @Test(arguments: World.seeds(3)) func aClientThatReadsNothingIsGivenNothing(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        let bob = try world.device("bob", "phone")
        let session = try #require(bob.session)
        session.setWritable(false)
        let body = String(repeating: "x", count: 30_000)
        for number in 0..<100 {
            ada.send(to: group, "\(number)\(body)")
            world.run(2)
        }
        #expect(world.run(10_000) { ada.outbox.isEmpty }, "seed \(seed)")
        world.run(2_000)
        #expect(session.stuckBytes < 262_144 + 31_000, "seed \(seed): \(session.stuckBytes) bytes")
        session.setWritable(true)
        #expect(world.run(10_000) { bob.received[group]?.count == 100 }, "seed \(seed): \(bob.summary)")
        world.expectWhole()
    }

    /// What it sends is answered; where the answers are not read, it is not read either.
    @Test func aClientThatReadsNoAnswersIsNotRead() throws {
        let world = try World(seed: 3)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone") { $0.reconnects = false }
        let session = try #require(ada.session)
        session.setWritable(false)
        let junk = ByteBuffer(string: "{\"op\":\"\(String(repeating: "?", count: 60))\"}")
        var rounds = 0
        while session.isRead && rounds < 5_000 {
            rounds += 1
            world.cluster.executor.perform { session.events?.received([junk, junk]) }
            world.run(1)
        }
        #expect(!session.isRead)
        #expect(session.stuckBytes < 300_000)
        session.setWritable(true)
        #expect(session.isRead)
        let sent = ada.send(to: group, "and on")
        #expect(world.run(2_000) { ada.accepted[sent] != nil })
    }
}
