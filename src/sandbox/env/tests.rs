use super::*;
use crate::sandbox::{CLIENTS, files};
use std::collections::BTreeSet;

const WAY: fn() -> Way<'static> = || Way {
    proxy: SocketAddr::from(([127, 0, 0, 1], 41234)),
    session: "run-1a2b",
    token: "s3cr3t_tok-en",
    ca_bundle: Path::new("/run/ca-bundle.pem"),
    ca_certificate: Path::new("/run/ca.pem"),
    directory: Path::new("/run/client"),
};

fn child(inherited: &[(&str, &str)]) -> BTreeMap<String, String> {
    let inherited = inherited.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    environment(&WAY(), inherited)
        .into_iter()
        .map(|(name, value)| (name.into_string().unwrap(), value.into_string().unwrap()))
        .collect()
}

#[test]
fn the_proxy_is_set_in_every_spelling_that_a_client_reads() {
    let child = child(&[]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "grpc_proxy"] {
        assert_eq!(child[name], "http://run-1a2b:s3cr3t_tok-en@127.0.0.1:41234", "{name}");
    }
    assert_eq!(child["RSYNC_PROXY"], "run-1a2b:s3cr3t_tok-en@127.0.0.1:41234");
    assert_eq!(child["CLOUDSDK_PROXY_PORT"], "41234");
    assert_eq!((child["NO_PROXY"].as_str(), child["no_proxy"].as_str()), ("", ""));
}

#[test]
fn an_ipv6_listener_is_bracketed_in_urls_and_bare_where_host_and_port_are_apart() {
    let way = Way { proxy: "[::1]:41234".parse().unwrap(), ..WAY() };
    assert_eq!(way.proxy_url(), "http://run-1a2b:s3cr3t_tok-en@[::1]:41234");
    let child = environment(&way, []);
    assert_eq!(child[OsStr::new("CLOUDSDK_PROXY_ADDRESS")], "::1");
}

#[test]
fn what_replaces_roots_gets_the_bundle_and_what_adds_to_them_may_get_ours_alone() {
    let child = child(&[]);
    for name in REPLACES_ROOTS {
        assert_eq!(child[name], "/run/ca-bundle.pem", "{name}");
    }
    assert_eq!(child["DENO_CERT"], "/run/ca.pem");
}

#[test]
fn nothing_inherited_leads_past_the_gateway() {
    let inherited: Vec<_> =
        ["NO_PROXY", "no_proxy", "No_Proxy", "HTTP_PROXY", "all_proxy", "SOCKS_PROXY", "no_grpc_proxy"]
            .into_iter()
            .chain([
                "NPM_CONFIG_NOPROXY",
                "npm_config_https-proxy",
                "UV_NO_PROXY",
                "CLOUDSDK_PROXY_RDNS",
                "YARN_NO_PROXY",
            ])
            .chain(["NODE_TLS_REJECT_UNAUTHORIZED", "PYTHONHTTPSVERIFY", "GIT_SSL_NO_VERIFY", "NPM_CONFIG_STRICT_SSL"])
            .map(|name| (name, "LEAK"))
            .collect();
    let leaked: Vec<_> = child(&inherited).into_iter().filter(|(_, value)| value.contains("LEAK")).collect();
    assert_eq!(leaked, []);
}

#[test]
fn an_operators_keys_and_other_sessions_tokens_do_not_reach_the_child() {
    let child = child(&[("EXEAT_CONTROL_KEY", "LEAK"), ("EXEAT_DEV_TOKEN", "LEAK"), ("EXEAT_SESSION", "outer")]);
    assert!(!child.values().any(|value| value == "LEAK"));
    assert_eq!(child["EXEAT_SESSION"], "run-1a2b");
}

#[test]
fn what_has_nothing_to_do_with_the_way_out_is_kept() {
    let inherited =
        [("PATH", "/bin"), ("HOME", "/home/a"), ("GOPROXY", "https://goproxy.example"), ("VITE_DEV_PROXY", "1")];
    let child = child(&inherited);
    for (name, value) in inherited {
        assert_eq!(child[name], value);
    }
}

#[test]
fn every_replaced_name_is_replaced_in_any_case_and_with_dashes() {
    for name in REPLACED {
        assert_eq!(*name, name.to_ascii_lowercase());
        for spelling in [(*name).to_owned(), name.to_ascii_uppercase(), name.replace('_', "-")] {
            assert!(is_replaced(OsStr::new(&spelling)), "{spelling}");
        }
    }
    assert!(!is_replaced(OsStr::new("PROXY")));
}

#[test]
fn git_configuration_joins_on_to_what_is_inherited() {
    let child = child(&[("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "user.name"), ("GIT_CONFIG_VALUE_0", "A")]);
    assert_eq!(child["GIT_CONFIG_COUNT"], "3");
    assert_eq!((child["GIT_CONFIG_KEY_0"].as_str(), child["GIT_CONFIG_VALUE_0"].as_str()), ("user.name", "A"));
    assert_eq!(child["GIT_CONFIG_KEY_1"], "http.proxy");
    assert_eq!(child["GIT_CONFIG_VALUE_1"], "http://run-1a2b:s3cr3t_tok-en@127.0.0.1:41234");
}

#[test]
fn git_credential_helpers_never_see_the_token() {
    let child = child(&[("GIT_CONFIG_COUNT", "nonsense")]);
    assert_eq!(child["GIT_CONFIG_KEY_1"], "credential.http://127.0.0.1:41234.helper");
    assert_eq!(child["GIT_CONFIG_VALUE_1"], "");
}

#[test]
fn java_options_join_on_and_show_no_token() {
    let child = child(&[
        ("JAVA_TOOL_OPTIONS", "-Xss4m -Dhttps.proxyHost=corp"),
        ("MAVEN_OPTS", "-Dhttp.proxyHost=corp -Xmx1g"),
    ]);
    let options = &child["JAVA_TOOL_OPTIONS"];
    assert!(options.starts_with("-Xss4m -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=41234 "), "{options}");
    assert!(options.contains("-Djavax.net.ssl.trustStore=/run/client/truststore.jks"), "{options}");
    assert_eq!(child["MAVEN_OPTS"], "-Xmx1g");
    assert_eq!(child["JDK_JAVA_OPTIONS"], "@/run/client/java.args");
    for name in ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "MAVEN_OPTS", "MAVEN_ARGS"] {
        assert!(!child[name].contains("s3cr3t"), "{name} is printed or ends on a command line");
    }
}

#[test]
fn a_directory_with_a_space_is_quoted_for_java() {
    let way = Way { directory: Path::new("/my state/client"), ..WAY() };
    let child = environment(&way, []);
    assert_eq!(child[OsStr::new("JDK_JAVA_OPTIONS")], "\"@/my state/client/java.args\"");
}

#[test]
fn yarn_2_is_not_given_a_setting_that_it_does_not_know() {
    assert!(!child(&[]).contains_key("YARN_HTTPS_CA_FILE_PATH"));
    assert_eq!(child(&[("YARN_HTTPS_CA_FILE_PATH", "/corp.pem")])["YARN_HTTPS_CA_FILE_PATH"], "/run/ca-bundle.pem");
}

#[test]
fn a_configuration_of_apt_that_is_named_already_stays() {
    assert_eq!(child(&[])["APT_CONFIG"], "/run/client/apt.conf");
    assert_eq!(child(&[("APT_CONFIG", "/own.conf")])["APT_CONFIG"], "/own.conf");
}

#[test]
fn the_table_of_clients_and_the_environment_agree() {
    let set: BTreeSet<_> = child(&[]).into_keys().collect();
    let told: BTreeSet<_> = CLIENTS.iter().flat_map(|client| client.variables).map(|&name| name.to_owned()).collect();
    assert_eq!(told.difference(&set).collect::<Vec<_>>(), Vec::<&String>::new(), "told but not set");
    assert_eq!(set.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new(), "set but not told");
}

#[test]
fn the_files_hold_the_credentials_that_variables_must_not() {
    let bundle = b"# a root\n-----BEGIN CERTIFICATE-----\nZGVy\n-----END CERTIFICATE-----\n";
    let files = files(&WAY(), bundle, b"timeout = 5").unwrap();
    let text = |name: &str| {
        let file = files.iter().find(|file| file.path == Path::new(name)).unwrap();
        String::from_utf8_lossy(&file.contents).into_owned()
    };
    assert_eq!(text("wgetrc"), "timeout = 5\nuse_proxy = on\nca_certificate = /run/ca-bundle.pem\n");
    assert_eq!(text("apt.conf"), "Acquire::https::CaInfo \"/run/ca-bundle.pem\";\n");
    assert!(text("java.args").contains("-Dhttps.proxyPassword=s3cr3t_tok-en\n"));
    assert!(text("maven/settings.xml").contains("<username>run-1a2b</username><password>s3cr3t_tok-en</password>"));
    assert!(text("truststore.jks").contains("X.509"));
}

#[test]
fn a_bundle_that_does_not_parse_is_an_error() {
    let broken = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    assert!(files(&WAY(), broken, b"").is_err());
}
