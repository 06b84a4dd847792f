# Varnish in front of Trunkline: varnishd -a 127.0.0.1:8080 -f varnish.vcl -p pipe_timeout=75
# Trunkline: listen.address = "127.0.0.1:8101", listen.trusted = ["127.0.0.1"].
vcl 4.1;

backend trunkline {
    .host = "127.0.0.1";
    .port = "8101";
}

sub vcl_recv {
    # Nothing here is to be cached, and what is upgraded is no longer HTTP.
    return (pipe);
}

sub vcl_pipe {
    if (req.http.upgrade) {
        set bereq.http.upgrade = req.http.upgrade;
        set bereq.http.connection = "upgrade";
    }
}
