use super::*;

#[test]
fn an_output_that_never_runs_empty_keeps_only_what_waits() {
    let mut bench = Bench::server();
    for _ in 0..20_000 {
        bench.connection.send(Message::from(vec![7u8; 1000])).expect("room");
        let output = bench.connection.poll_transmit().expect("waits");
        if output.len() > 10_000 {
            output.advance(1004);
        }
    }
    let (waiting, held) = (bench.connection.buffered(), bench.connection.output_capacity());
    assert!(held < 10 * waiting, "{held} bytes held for {waiting} that wait");
}

#[test]
fn a_message_in_many_fragments_is_put_together_in_linear_time() {
    let mut bench = Bench::server();
    bench.receive(&masked(0x02, &[1; 256]));
    let (mut grown, mut capacity) = (0, 0);
    for _ in 0..4000 {
        bench.receive(&masked(0x00, &[1; 256]));
        grown += usize::from(bench.connection.assembler_capacity() != capacity);
        capacity = bench.connection.assembler_capacity();
    }
    assert!(grown < 30, "the buffer was moved {grown} times");
}

#[test]
fn the_longest_durations_do_not_overflow() {
    let for_ever = Some(Duration::MAX);
    let limits = Limits {
        ping_interval: for_ever,
        pong_timeout: for_ever,
        close_timeout: for_ever,
        ..Limits::default()
    };
    let mut bench = Bench::new(Role::Server, limits);
    assert_eq!(bench.connection.poll_timeout(), None);
    bench.connection.close(bench.now, None, "").expect("valid");
    assert_eq!(bench.connection.poll_timeout(), None);
}

#[test]
fn a_client_whose_output_never_runs_empty_still_masks_the_right_bytes() {
    let (mut client, mut server) = (Bench::client(), Bench::server());
    let mut expected = 0u32;
    for i in 0..2000u32 {
        client.connection.send(Message::from(i.to_be_bytes().repeat(10))).expect("room");
        let output = client.connection.poll_transmit().expect("waits");
        if output.len() < 1000 {
            continue;
        }
        let bytes = output.chunk()[..46].to_vec();
        output.advance(46);
        for event in server.receive(&bytes) {
            assert_eq!(event, binary(&expected.to_be_bytes().repeat(10)));
            expected += 1;
        }
    }
    assert!(expected > 1900);
}
