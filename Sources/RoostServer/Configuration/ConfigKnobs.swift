package import RoostNode

/// A whole number of `cluster.json` that has a default: its key, where it goes and what it may be. The reasons for the
/// defaults stand in docs/configuration.md.
package struct ConfigKnob<Section> {
    package let key: String
    package let property: WritableKeyPath<Section, Int>
    package let range: ClosedRange<Int>

    init(_ key: String, _ property: WritableKeyPath<Section, Int>, _ range: ClosedRange<Int>) {
        self.key = key
        self.property = property
        self.range = range
    }
}

package enum ConfigKnobs {
    package static var limits: [ConfigKnob<ClusterConfig.Limits>] {
        [
            .init("max_frame", \.maxFrame, 1_024...2_097_152),
            .init("max_content", \.maxContent, 1...2_097_152),
            .init("max_members", \.maxMembers, 2...100_000),
            .init("max_conversations_per_user", \.maxConversationsPerUser, 1...1_000_000),
            .init("max_devices_per_user", \.maxDevicesPerUser, 1...1_024),
            .init("device_expiry_seconds", \.deviceExpirySeconds, 60...315_360_000),
            .init("max_http_body", \.maxHTTPBody, 1_024...16_777_216),
            .init("handshake_ms", \.handshakeMilliseconds, 100...120_000),
            .init("max_connections", \.maxConnections, 1...10_000_000),
            .init("max_session_opens_per_second", \.maxSessionOpensPerSecond, 1...1_000_000),
            .init("window", \.window, 1...65_536),
            .init("max_pending_sends", \.maxPendingSends, 1...65_536),
            .init("max_presence_subscriptions", \.maxPresenceSubscriptions, 0...65_536),
            .init("messages_per_second_device", \.messagesPerSecondDevice, 0...1_000_000),
            .init("messages_per_second_user", \.messagesPerSecondUser, 0...1_000_000),
            .init("calls_per_second_user", \.callsPerSecondUser, 0...1_000_000),
            .init("logins_per_minute_address", \.loginsPerMinuteAddress, 0...1_000_000),
            .init("registrations_per_minute_address", \.registrationsPerMinuteAddress, 0...1_000_000),
            .init("failed_logins_per_minute", \.failedLoginsPerMinute, 0...1_000_000),
            .init("handshakes_per_second_address", \.handshakesPerSecondAddress, 0...1_000_000),
            .init("max_connections_per_address", \.maxConnectionsPerAddress, 0...10_000_000),
            .init("limit_loopback", \.limitLoopback, 0...1),
            .init("password_min", \.passwordMin, 1...128),
            .init("max_link_queue_bytes", \.maxLinkQueueBytes, 16_777_216...4_294_967_296),
        ]
    }

    package static var timing: [ConfigKnob<ClusterConfig.Timing>] {
        [
            .init("election_ms", \.electionMilliseconds, 50...60_000),
            .init("raft_heartbeat_ms", \.raftHeartbeatMilliseconds, 10...10_000),
            .init("hibernate_ms", \.hibernateMilliseconds, 100...3_600_000),
            .init("probe_ms", \.probeMilliseconds, 20...60_000),
            .init("probe_timeout_ms", \.probeTimeoutMilliseconds, 10...60_000),
            .init("suspicion_periods", \.suspicionPeriods, 1...100),
            .init("suspicion_ceiling", \.suspicionCeiling, 1...100),
            .init("gossip_ms", \.gossipMilliseconds, 10...10_000),
            .init("exchange_seconds", \.exchangeSeconds, 1...3_600),
            .init("proposal_retry_ms", \.proposalRetryMilliseconds, 20...60_000),
            .init("proposal_timeout_ms", \.proposalTimeoutMilliseconds, 100...300_000),
            .init("http_timeout_ms", \.httpTimeoutMilliseconds, 100...300_000),
            .init("heartbeat_seconds", \.heartbeatSeconds, 1...3_600),
            .init("write_timeout_ms", \.writeTimeoutMilliseconds, 100...600_000),
            .init("presence_batch_ms", \.presenceBatchMilliseconds, 1...5_000),
            .init("presence_debounce_ms", \.presenceDebounceMilliseconds, 0...600_000),
            .init("presence_recheck_seconds", \.presenceRecheckSeconds, 1...86_400),
            .init("cursor_commit_ms", \.cursorCommitMilliseconds, 10...60_000),
            .init("stream_status_ms", \.streamStatusMilliseconds, 50...60_000),
            .init("drain_ms", \.drainMilliseconds, 0...600_000),
            .init("clock_bound_ms", \.clockBoundMilliseconds, 100...600_000),
        ]
    }

    package static var security: [ConfigKnob<ClusterConfig.Security>] {
        [
            .init("token_lifetime_seconds", \.tokenLifetimeSeconds, 60...31_536_000),
            .init("scrypt_log_n", \.scryptLogN, 10...20),
            .init("scrypt_threads", \.scryptThreads, 1...64),
            .init("max_queued_password_checks", \.maxQueuedPasswordChecks, 1...100_000),
            .init("certificate_check_seconds", \.certificateCheckSeconds, 1...3_600),
        ]
    }

    package static var durability: [ConfigKnob<ClusterConfig.Durability>] {
        [
            .init("gather_us", \.gatherMicroseconds, 0...100_000),
            .init("reader_threads", \.readerThreads, 1...64),
            .init("catch_up_bytes_per_second", \.catchUpBytesPerSecond, 65_536...4_294_967_296),
            .init("scrub_days", \.scrubDays, 0...3_650),
            .init("scrub_min_rows_per_second", \.scrubMinRowsPerSecond, 1...1_000_000),
            .init("retention_seconds", \.retentionSeconds, 0...3_153_600_000),
            .init("id_retention_seconds", \.idRetentionSeconds, 60...3_153_600_000),
        ]
    }
}
